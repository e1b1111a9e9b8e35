/** Sockets of ours against sockets of ours: the traps of the runtime, and what works instead. */
import { afterEach, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { systemClock } from "../core/clock.ts";
import { RawClient } from "../testing/raw-client.ts";
import { libc } from "./libc.ts";
import type { SocketHandlers, TcpSocket } from "./socket.ts";
import { isNoDelay } from "./socket-options.ts";
import { type ConnectCause, TcpConnector } from "./tcp-connector.ts";
import { ListenError, listenTcp, type TcpListener } from "./tcp-listener.ts";
import { TimerWheel } from "./timer-wheel.ts";

const cleanUps: (() => void)[] = [];
afterEach(() => {
  for (const cleanUp of cleanUps.splice(0)) cleanUp();
});

/** Counts what happens; echoes. */
class Echo {
  opened = 0;
  closed = 0;
  received = 0;
  sockets: TcpSocket<Echo>[] = [];
}

function echoHandlers(echo: Echo): SocketHandlers<Echo> {
  return {
    open(socket) {
      socket.data = echo;
      echo.opened++;
      echo.sockets.push(socket);
    },
    data(socket, bytes) {
      socket.data.received += bytes.length;
      socket.write(bytes, 0, bytes.length);
    },
    drain() {},
    end(socket) {
      socket.end();
    },
    close(socket) {
      socket.data.closed++;
    },
  };
}

function listenEcho(echo: Echo, port = 0): TcpListener {
  const listener = listenTcp({ hostname: "127.0.0.1", port }, echoHandlers(echo));
  cleanUps.push(() => {
    listener.stop();
    for (const socket of echo.sockets) socket.terminate();
  });
  return listener;
}

async function until(holds: () => boolean, what: string): Promise<void> {
  const giveUpAt = systemClock.nowMs() + 5_000;
  while (!holds()) {
    if (systemClock.nowMs() > giveUpAt) throw new Error(`waited 5 s for ${what}`);
    await Bun.sleep(1);
  }
}

test("a listener on port 0 says its port, and its handlers get the owner's object", async () => {
  const echo = new Echo();
  const listener = listenEcho(echo);
  expect(listener.port).toBeGreaterThan(0);
  const client = await RawClient.connect({ port: listener.port });
  client.send("hello");
  expect(await client.take("hello")).toBe("hello");
  expect(echo.received).toBe(5);
  expect(isNoDelay(echo.sockets[0]!.fd)).toBe(libc() !== undefined);
  client.close();
});

test("a taken port is an error that says so", () => {
  const listener = listenEcho(new Echo());
  let caught: unknown;
  try {
    listenEcho(new Echo(), listener.port);
  } catch (error) {
    caught = error;
  }
  expect(caught).toBeInstanceOf(ListenError);
  expect(String(caught)).toBe(
    `ListenError: cannot listen on 127.0.0.1:${listener.port}: the port is taken (EADDRINUSE)`,
  );
});

test("two listeners share a port with reusePort", async () => {
  const [one, two] = [new Echo(), new Echo()];
  const options = { hostname: "127.0.0.1", reusePort: true };
  const first = listenTcp({ ...options, port: 0 }, echoHandlers(one));
  const second = listenTcp({ ...options, port: first.port }, echoHandlers(two));
  for (let i = 0; i < 64; i++) (await RawClient.connect({ port: first.port })).close();
  await until(() => one.opened + two.opened === 64, "64 connections");
  expect(one.opened).toBeGreaterThan(0);
  expect(two.opened).toBeGreaterThan(0);
  first.stop();
  second.stop();
});

test("more connections than Bun's backlog of 512 wait without being dropped", async () => {
  const somaxconn = Number(await Bun.file("/proc/sys/net/core/somaxconn").text());
  if (libc() === undefined || somaxconn < 900) return;
  const echo = new Echo();
  const listener = listenEcho(echo);
  expect(listener.pauseAccept()).toBe(true);
  // Beyond the backlog the kernel drops SYNs, and a connect takes a second or more.
  const startMs = systemClock.nowMs();
  const clients = await Promise.all(
    Array.from({ length: 800 }, () => RawClient.connect({ port: listener.port })),
  );
  expect(systemClock.nowMs() - startMs).toBeLessThan(900);
  expect(echo.opened).toBe(0);
  listener.resumeAccept();
  await until(() => echo.opened === 800, "800 connections to be accepted");
  for (const client of clients) client.terminate();
});

test("while accepting is paused connections wait, and are served when it resumes", async () => {
  const echo = new Echo();
  const listener = listenEcho(echo);
  const { port } = listener;
  expect(listener.pauseAccept()).toBe(true);
  const client = await RawClient.connect({ port });
  client.send("early");
  await client.sent();
  expect(echo.opened).toBe(0);
  listener.resumeAccept();
  expect(listener.port).toBe(port);
  expect(await client.take("early")).toBe("early");
  client.close();
});

test("a stopped listener refuses new connections and keeps those it has", async () => {
  const echo = new Echo();
  const listener = listenEcho(echo);
  const client = await RawClient.connect({ port: listener.port });
  await until(() => echo.opened === 1, "the connection");
  listener.stop();
  expect(listener.fd).toBe(-1);
  await expect(RawClient.connect({ port: listener.port })).rejects.toThrow();
  client.send("still here");
  expect(await client.take("here")).toBe("still here");
  client.close();
});

test("a peer that shuts its side down still gets its answer, and a reset is reported", async () => {
  const echo = new Echo();
  const listener = listenEcho(echo);
  const client = await RawClient.connect({ port: listener.port });
  client.send("last words");
  client.shutdown();
  expect(await client.untilEnd()).toBe("last words");
  const other = await RawClient.connect({ port: listener.port });
  await until(() => echo.opened === 2, "the connection");
  other.terminate();
  await until(() => echo.closed === 2, "both to be closed");
  expect(echo.sockets[1]!.write(new Uint8Array(1), 0, 1)).toBe(-1);
});

/** A connection that notes its fate. */
class Outgoing {
  socket: TcpSocket<Outgoing> | undefined;
  failed: ConnectCause | undefined;
  text = "";
  textBeforeOpen = "";
  closed = false;
}

function connector(): TcpConnector<Outgoing> {
  return new TcpConnector<Outgoing>(
    {
      open(socket) {
        socket.data.socket = socket;
      },
      data(socket, bytes) {
        const text = Buffer.from(bytes).toString("latin1");
        if (socket.data.socket === undefined) socket.data.textBeforeOpen += text;
        socket.data.text += text;
      },
      drain() {},
      end() {},
      close(socket) {
        socket.data.closed = true;
      },
      connectFailed(connection, cause) {
        connection.failed = cause;
      },
    },
    new TimerWheel(systemClock),
  );
}

test("a connect calls the owner with its own object, and bytes flow", async () => {
  const listener = listenEcho(new Echo());
  const outgoing = new Outgoing();
  connector().connect({ hostname: "127.0.0.1", port: listener.port }, outgoing, 1_000);
  expect(outgoing.socket).toBeUndefined();
  await until(() => outgoing.socket !== undefined, "the connection");
  outgoing.socket!.write(Buffer.from("abcdef"), 2, 3);
  await until(() => outgoing.text === "cde", "the echo");
  outgoing.socket!.end();
  await until(() => outgoing.closed, "the close");
  expect(outgoing.failed).toBeUndefined();
});

test("a connect that fails says why: refused, no such name, no answer", async () => {
  const listener = listenEcho(new Echo());
  const { port } = listener;
  listener.stop();
  const cases: [hostname: string, timeoutMs: number, cause: ConnectCause][] = [
    ["127.0.0.1", 2_000, "refused"],
    ["localhost", 2_000, "refused"],
    ["255.255.255.255", 2_000, libc() === undefined ? "failed" : "unreachable"],
    ["no-such-host.invalid", 4_000, "name-not-found"],
  ];
  for (const [hostname, timeoutMs, cause] of cases) {
    const outgoing = new Outgoing();
    connector().connect({ hostname, port }, outgoing, timeoutMs);
    await until(() => outgoing.failed !== undefined, `${hostname} to fail`);
    expect(outgoing.failed).toBe(cause);
  }
});

/** A port whose queue of connections is full: further SYNs get no answer, like a dead host. */
async function deafPort(): Promise<number> {
  const listener = listenTcp(
    { hostname: "127.0.0.1", port: 0, backlog: 1 },
    echoHandlers(new Echo()),
  );
  cleanUps.push(() => listener.stop());
  listener.pauseAccept();
  const fill = Array.from({ length: 2 }, () => RawClient.connect({ port: listener.port }));
  for (const client of await Promise.all(fill)) cleanUps.push(() => client.terminate());
  return listener.port;
}

test("a connect that gets no answer ends at its time limit", async () => {
  if (libc() === undefined) return;
  const port = await deafPort();
  const outgoing = new Outgoing();
  const startMs = systemClock.nowMs();
  connector().connect({ hostname: "127.0.0.1", port }, outgoing, 50);
  await until(() => outgoing.failed !== undefined, "the time limit");
  expect(outgoing.failed).toBe("timeout");
  expect(systemClock.nowMs() - startMs).toBeWithin(49, 500);
  expect(outgoing.socket).toBeUndefined();
});

test("attempts that were given up hold no descriptors", async () => {
  if (libc() === undefined) return;
  const port = await deafPort();
  const descriptors = (): number => readdirSync("/proc/self/fd").length;
  const before = descriptors();
  const connect = connector();
  const target = { hostname: "127.0.0.1", port };
  const timingOut = Array.from({ length: 20 }, () => new Outgoing());
  for (const outgoing of timingOut) connect.connect(target, outgoing, 30);
  const attempts = timingOut.map(() => connect.connect(target, new Outgoing(), 5_000));
  expect(descriptors()).toBe(before + 40);
  for (const attempt of attempts) attempt.cancel();
  await until(() => timingOut.every(({ failed }) => failed === "timeout"), "the time limit");
  await until(() => descriptors() <= before, "the descriptors to be closed");
});

test("a server that speaks first is heard only after the connection was opened", async () => {
  const listener = listenTcp<undefined>(
    { hostname: "127.0.0.1", port: 0 },
    {
      open(socket) {
        socket.write(Buffer.from("220 hello\r\n"), 0, 11);
        socket.end();
      },
      data() {},
      drain() {},
      end() {},
      close() {},
    },
  );
  const connect = connector();
  for (let i = 0; i < 200; i++) {
    const outgoing = new Outgoing();
    connect.connect({ hostname: "127.0.0.1", port: listener.port }, outgoing, 1_000);
    await until(() => outgoing.text === "220 hello\r\n", "the greeting");
    expect(outgoing.textBeforeOpen).toBe("");
    outgoing.socket!.terminate();
  }
  listener.stop();
});

test("a connection by address is like one by name: no delay, addresses, IPv6", async () => {
  const echo = new Echo();
  const listener = listenTcp({ hostname: "::", port: 0 }, echoHandlers(echo));
  cleanUps.push(() => listener.stop());
  for (const hostname of ["127.0.0.1", "::1", "localhost"]) {
    const outgoing = new Outgoing();
    connector().connect({ hostname, port: listener.port }, outgoing, 2_000);
    await until(() => outgoing.socket !== undefined || outgoing.failed !== undefined, hostname);
    if (hostname === "::1" && outgoing.failed === "unreachable") continue; // no IPv6 here
    const socket = outgoing.socket!;
    expect(isNoDelay(socket.fd)).toBe(libc() !== undefined);
    expect([socket.remotePort, socket.localPort > 0]).toEqual([listener.port, true]);
    socket.terminate();
  }
});

test("a cancelled connect calls nobody, and its late socket is closed", async () => {
  const echo = new Echo();
  const listener = listenEcho(echo);
  const connect = connector();
  for (const [i, hostname] of ["127.0.0.1", "localhost"].entries()) {
    const [cancelled, wanted] = [new Outgoing(), new Outgoing()];
    const target = { hostname, port: listener.port };
    connect.connect(target, cancelled, 1_000).cancel();
    connect.connect(target, wanted, 1_000);
    await until(() => wanted.socket !== undefined && echo.opened === 2 * i + 2, "both to arrive");
    await until(() => echo.closed === 2 * i + 1, "the late one to be closed");
    const { socket, failed, closed } = cancelled;
    expect([socket, failed, closed]).toEqual([undefined, undefined, false]);
    wanted.socket!.terminate();
    await until(() => echo.closed === 2 * i + 2, "the other to be closed");
  }
});
