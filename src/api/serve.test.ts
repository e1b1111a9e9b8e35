/** The API port against peers that are not ours: whatever they send, it goes on. */
import { afterEach, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { systemClock } from "../core/clock.ts";
import { seededRandom } from "../core/random.ts";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { isLoopback, isLoopbackAuthority, serveApi } from "./serve.ts";

const closing: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function open(clock = systemClock) {
  const server = await serveApi({
    hostname: "127.0.0.1",
    port: 0,
    clock,
    routes: () => {},
    fetch: (request) => new Response(`path ${new URL(request.url).pathname}`),
  });
  closing.push(() => server.close());
  const get = async () => await (await fetch(`http://127.0.0.1:${server.port}/x`)).text();
  return { server, get };
}

function dial(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port }, () => resolve(socket));
    socket.on("error", reject);
    closing.push(() => void socket.destroy());
  });
}

/** What it answered until it closed. */
function ended(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let said = "";
    socket.removeAllListeners("error");
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      said += chunk.toString("latin1");
    });
    socket.on("close", () => resolve(said));
  });
}

test("pages are the fallback, and their bodies and streams arrive whole", async () => {
  const { get } = await open();
  expect(await get()).toBe("path /x");
});

const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const hostile: readonly (readonly [what: string, bytes: string])[] = [
  ["nothing of HTTP", "\x00\x01\x02\x03\xff\xfe garbage \r\n\r\n"],
  ["TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
  ["HTTP/2 that is none", `${PREFACE}${"\xff".repeat(64)}`],
  ["a preface that goes wrong late", "PRI * HTTP/1.1\r\n\r\n"],
  ["an endless header", `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${"x".repeat(100_000)}\r\n\r\n`],
  ["two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx"],
];
test.each(hostile)("%s is answered or hung up on, and the next one is served", async (_, bytes) => {
  const { server, get } = await open();
  const socket = await dial(server.port);
  const end = ended(socket);
  socket.end(Buffer.from(bytes, "latin1"));
  expect(await end).not.toMatch(/^HTTP\/1\.1 200/);
  expect(await get()).toBe("path /x");
});

test("random bytes, whole and in pieces, bring nothing down", async () => {
  const { server, get } = await open();
  const seed = Date.now() % 1_000_000;
  console.log(`seed ${seed}`);
  const random = seededRandom(seed);
  for (let round = 0; round < 30; round++) {
    const socket = await dial(server.port);
    const end = ended(socket);
    if (random() < 0.5) socket.write(PREFACE.slice(0, Math.floor(random() * 30)));
    const length = Math.floor(random() * 300);
    socket.end(Buffer.from(Array.from({ length }, () => Math.floor(random() * 256))));
    await end;
  }
  expect(await get()).toBe("path /x");
});

test("the preface in single bytes is still HTTP/2", async () => {
  const { server } = await open();
  const socket = await dial(server.port);
  const first = new Promise<Buffer>((resolve) => socket.once("data", resolve));
  socket.setNoDelay(true);
  for (const byte of PREFACE) {
    socket.write(byte);
    await Bun.sleep(1);
  }
  // An empty SETTINGS frame, and the answer: SETTINGS, frame type 4.
  socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
  expect((await first)[3]).toBe(4);
});

test("HTTP/1 that begins like the preface, in single bytes, is still HTTP/1", async () => {
  const { server } = await open();
  const socket = await dial(server.port);
  const end = ended(socket);
  socket.setNoDelay(true);
  for (const byte of "PROPFIND / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n") {
    socket.write(byte);
    await Bun.sleep(1);
  }
  expect(await end).toStartWith("HTTP/1.1 200");
});

test("who says nothing is hung up on", async () => {
  const clock = new VirtualClock();
  const { server } = await open(clock);
  const socket = await dial(server.port);
  const end = ended(socket);
  while (clock.waiting === 0) await Bun.sleep(1);
  clock.advance(10_000);
  expect(await end).toBe("");
});

test("an address that is taken is said with its name", async () => {
  const { server } = await open();
  const { hostname, port } = server;
  const again = serveApi({
    hostname,
    port,
    clock: systemClock,
    routes: () => {},
    fetch: () => new Response(),
  });
  await expect(again).rejects.toThrow(
    `${hostname}:${port} is taken: choose another (port 0 picks one)`,
  );
});

const authorities: readonly (readonly [authority: string | undefined, local: boolean])[] = [
  ["127.0.0.1:8080", true],
  ["localhost", true],
  ["LOCALHOST:1", true],
  ["[::1]:8080", true],
  ["127.8.9.1", true],
  [undefined, false],
  ["", false],
  ["evil.example", false],
  ["127.0.0.1.evil.example", false],
  ["localhost.evil.example:80", false],
  ["127.evil.example", false],
  ["0.0.0.0:80", false],
];
test.each(authorities)("a Host of %p is this machine: %p", (authority, local) => {
  expect(isLoopbackAuthority(authority)).toBe(local);
});

test("loopback is 127/8, ::1 and localhost", () => {
  expect(["127.0.0.1", "127.1.2.3", "::1", "localhost"].every(isLoopback)).toBe(true);
  expect(["0.0.0.0", "::", "10.0.0.1", "127.0.0.1.x", ""].some(isLoopback)).toBe(false);
});
