/** What a connection has to begin with behind a load balancer, and what becomes of it otherwise. */
import { afterEach, describe, expect, test } from "bun:test";
import type { TcpSocket } from "../../io/socket.ts";
import type { SocketAddress } from "../../io/socket-address.ts";
import { listenTcp } from "../../io/tcp-listener.ts";
import { TimerWheel } from "../../io/timer-wheel.ts";
import { cuts, describeCuts } from "../../testing/cuts.ts";
import { expectLinear } from "../../testing/growth.ts";
import { RawClient } from "../../testing/raw-client.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { encodeProxyV1, encodeProxyV2 } from "../tcp/proxy-protocol.ts";
import { behindProxyHeader, type HeaderGateParts } from "./proxy-header-gate.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

/** An owner that notes what it is told. */
function gate(options: Partial<HeaderGateParts> = {}) {
  const clock = new VirtualClock();
  const events: string[] = [];
  const handlers = behindProxyHeader<string>(
    {
      open(socket, _tls, source?: SocketAddress) {
        socket.data = "owner";
        events.push(`open ${source === undefined ? "-" : `${source.address} ${source.port}`}`);
      },
      data: (_socket, bytes) => void events.push(`data ${Buffer.from(bytes).toString("latin1")}`),
      drain: () => void events.push("drain"),
      end: () => void events.push("end"),
      close: () => void events.push("close"),
    },
    {
      timers: new TimerWheel(clock),
      refused: (fault) => void events.push(fault),
      ...options,
    },
  );
  /** An accepted socket, of which only its ends matter here. */
  const accept = (): TcpSocket<string> => {
    const socket = {
      data: undefined,
      fd: 7,
      end: () => void events.push("ended"),
      terminate: () => void events.push("terminated"),
    } as unknown as TcpSocket<string>;
    handlers.open(socket);
    return socket;
  };
  return { handlers, events, clock, accept };
}

const client = { address: "192.0.2.9", port: 4_000 };
const client6 = { address: "2001:db8::9", port: 4_000 };
const front = { address: "10.0.0.1", port: 443 };
const front6 = { address: "2001:db8::1", port: 443 };
const text = (latin1: string): Uint8Array => Buffer.from(latin1, "latin1");

describe("a header is taken off, however it is cut", () => {
  const rows: readonly (readonly [name: string, header: Uint8Array, says: string])[] = [
    ["version 1, IPv4", encodeProxyV1(client, front), "open 192.0.2.9 4000"],
    ["version 1, IPv6", encodeProxyV1(client6, front6), "open 2001:db8::9 4000"],
    ["version 1, unknown", encodeProxyV1(undefined, undefined), "open -"],
    ["version 2, IPv4", encodeProxyV2(client, front), "open 192.0.2.9 4000"],
    ["version 2, IPv6", encodeProxyV2(client6, front6), "open 2001:db8::9 4000"],
    ["version 2, the balancer's own", encodeProxyV2(undefined, undefined), "open -"],
    [
      "version 2, with a TLV",
      encodeProxyV2(client, front, [{ type: 2, value: new Uint8Array(400) }]),
      "open 192.0.2.9 4000",
    ],
  ];
  test.each(rows)("%s", (_name, header, says) => {
    for (const chunks of cuts(Buffer.concat([header, text("GET /")]), 1)) {
      const { handlers, events, accept } = gate();
      const socket = accept();
      for (const chunk of chunks) handlers.data(socket, chunk);
      handlers.end(socket);
      handlers.close(socket);
      const [opened, ...rest] = events;
      const data = rest.filter((event) => event.startsWith("data ")).map((one) => one.slice(5));
      expect([describeCuts(chunks), opened, data.join(""), rest.slice(-2)]).toEqual([
        ...[describeCuts(chunks), says, "GET /", ["end", "close"]],
      ]);
    }
  });
});

describe("what has no good header is closed, and counted by why", () => {
  const long = Buffer.from(encodeProxyV2(client, front));
  long.writeUInt16BE(20_000, 14);
  const rows: readonly (readonly [name: string, bytes: Uint8Array, fault: string])[] = [
    ["a request", text("GET / HTTP/1.1\r\n"), "missing"],
    ["a ClientHello", Uint8Array.of(22, 3, 1), "missing"],
    ["nearly one", text("PROXY UDP4 1.1.1.1 1.1.1.1 1 1\r\n"), "malformed"],
    ["a line without an end", text(`PROXY TCP4 ${"1".repeat(120)}`), "malformed"],
    ["one too long", long, "malformed"],
  ];
  test.each(rows)("%s", (_name, bytes, fault) => {
    for (const chunks of cuts(bytes, 1)) {
      const { handlers, events, accept } = gate();
      const socket = accept();
      for (const chunk of chunks) handlers.data(socket, chunk);
      handlers.end(socket);
      handlers.close(socket);
      expect([describeCuts(chunks), events]).toEqual([describeCuts(chunks), [fault, "terminated"]]);
    }
  });

  test("half a header, and then nothing", () => {
    const { handlers, events, accept } = gate();
    const socket = accept();
    handlers.data(socket, text("PROXY TCP4 "));
    handlers.end(socket);
    handlers.close(socket);
    const other = accept();
    handlers.data(other, text("P"));
    handlers.close(other);
    expect(events).toEqual(["closed-by-peer", "terminated", "closed-by-peer"]);
  });

  test("who says nothing in time", () => {
    const { handlers, events, clock, accept } = gate();
    const socket = accept();
    clock.advance(4_000);
    handlers.data(socket, text("PROXY TCP4 "));
    clock.advance(900);
    expect(events).toEqual([]);
    clock.advance(200);
    expect(events).toEqual(["timeout", "terminated"]);
  });

  test("more at once than are waited for", () => {
    const { handlers, events, accept } = gate({ awaitingMax: 2 });
    const waiting = [accept(), accept()];
    accept();
    expect(events).toEqual(["too-many", "terminated"]);
    handlers.data(waiting[0]!, encodeProxyV1(client, front));
    handlers.close(accept());
    handlers.data(waiting[1]!, encodeProxyV1(client, front));
    expect(events.slice(2)).toEqual(["open 192.0.2.9 4000", "open 192.0.2.9 4000"]);
  });
});

test("a connection that says nothing and goes is somebody's health check", () => {
  const { handlers, events, accept } = gate();
  const socket = accept();
  handlers.end(socket);
  handlers.close(socket);
  expect(events).toEqual(["ended"]);
});

test("the time for a header is not the owner's", () => {
  const { handlers, events, clock, accept } = gate();
  handlers.data(accept(), encodeProxyV1(client, front));
  clock.advance(60_000);
  expect(events).toEqual(["open 192.0.2.9 4000"]);
});

test("an owner that has closed the connection is given nothing more", () => {
  const events: string[] = [];
  const handlers = behindProxyHeader<string>(
    {
      open: (socket) => socket.terminate(),
      data: () => void events.push("data"),
      drain() {},
      end() {},
      close() {},
    },
    { timers: new TimerWheel(new VirtualClock()), refused: (fault) => void events.push(fault) },
  );
  const socket = { fd: 7, terminate() {} } as unknown as TcpSocket<string>;
  handlers.open(socket);
  handlers.data(socket, Buffer.concat([encodeProxyV1(client, front), text("GET /")]));
  expect(events).toEqual([]);
});

test("the work grows with the header, and no faster", () => {
  expectLinear((n) => {
    const value = new Uint8Array(n);
    const header = encodeProxyV2(client, front, [{ type: 2, value }]);
    const { handlers, accept } = gate();
    const socket = accept();
    for (let at = 0; at < header.length; at++) handlers.data(socket, header.subarray(at, at + 1));
  }, 4_000);
});

test("on sockets", async () => {
  const { handlers, events } = gate();
  const listener = listenTcp({ hostname: "127.0.0.1", port: 0 }, handlers);
  closers.push(() => listener.stop());
  const good = await RawClient.connect({ port: listener.port });
  closers.push(() => good.terminate());
  good.send(Buffer.concat([encodeProxyV2(client, front), text("hello")]));
  const bad = await RawClient.connect({ port: listener.port });
  bad.send("GET / HTTP/1.1\r\n\r\n");
  await bad.until(() => bad.closed);
  expect(events).toContain("missing");
  expect(events.filter((event) => event !== "missing")).toEqual([
    ...["open 192.0.2.9 4000", "data hello"],
  ]);
});
