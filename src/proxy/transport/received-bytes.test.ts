/**
 * Bodies between two sidecars and over HTTP/2, larger than any window: what was received is freed
 * once it has been passed on, and not before.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { seededRandom } from "../../core/random.ts";
import { EngineFixture } from "../../testing/engine-fixture.ts";

const BODY_BYTES = 8_000_000;
/** Turns of the event loop that the application takes for its first pieces. */
const SLOW_TURNS = 300;
const SLOW_PIECES = 8;

interface Received {
  head: string;
  hash: Bun.CryptoHasher;
  /** -1: the head is not whole. */
  left: number;
  pieces: number;
}

/** Answers a POST with the hash of its content. It is slow, so that proxies have to keep things. */
function listen(): Bun.TCPSocketListener<Received> {
  return Bun.listen<Received>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open(socket) {
        const hash = new Bun.CryptoHasher("sha1");
        socket.data = { head: "", hash, left: -1, pieces: 0 };
      },
      data(socket, bytes) {
        const received = socket.data;
        const body = received.left === -1 ? contentOf(received, bytes) : bytes;
        if (received.left === -1) return;
        received.hash.update(body);
        received.left -= body.length;
        if (received.left === 0) {
          const text = received.hash.digest("hex");
          socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`);
          socket.data = { ...received, head: "", left: -1 };
        } else if (received.pieces++ < SLOW_PIECES) {
          socket.pause();
          afterTurns(SLOW_TURNS, () => socket.resume());
        }
      },
    },
  });
}

/** What of the piece follows the head. */
function contentOf(received: Received, bytes: Buffer): Uint8Array {
  received.head += bytes.toString("latin1");
  const end = received.head.indexOf("\r\n\r\n");
  if (end === -1) return new Uint8Array(0);
  received.left = Number(/content-length: (\d+)/i.exec(received.head)?.[1] ?? 0);
  const content = Buffer.from(received.head.slice(end + 4), "latin1");
  received.head = "";
  return content;
}

function afterTurns(turns: number, then: () => void): void {
  if (turns === 0) then();
  else setImmediate(() => afterTurns(turns - 1, then));
}

let app: Bun.TCPSocketListener<Received>;
let far: EngineFixture;
let near: EngineFixture;
let inbound: number;

beforeAll(() => {
  app = listen();
  far = new EngineFixture({ endpoints: [app.port] });
  inbound = far.listenInbound(app.port, "http");
  near = new EngineFixture({ endpoints: [inbound], meshTransport: true });
});

afterAll(() => {
  near.close();
  far.close();
  app.stop(true);
});

function body(seed: number, bytes = BODY_BYTES): Uint8Array<ArrayBuffer> {
  const random = seededRandom(seed);
  const words = Uint32Array.from({ length: bytes / 4 }, () => random() * 2 ** 32);
  return new Uint8Array(words.buffer);
}

const sha1 = (bytes: Uint8Array): string =>
  new Bun.CryptoHasher("sha1").update(bytes).digest("hex");

test("a body that comes with its head waits for its connection to the application", async () => {
  const content = body(4, 15_000);
  const client = await near.connect();
  const head = `POST / HTTP/1.1\r\nHost: svc\r\nContent-Length: ${content.length}\r\n\r\n`;
  client.send(Buffer.concat([Buffer.from(head), content]));
  expect((await client.takeResponse()).body).toBe(sha1(content));
  client.close();
});

test("bodies inside of one connection arrive as they were sent", async () => {
  const bodies = [body(1), body(2), body(3)];
  const answers = bodies.map(async (content) => {
    const url = `http://127.0.0.1:${near.port}/`;
    const init = { method: "POST", headers: { host: "svc" }, body: content };
    return await (await fetch(url, init)).text();
  });
  expect(await Promise.all(answers)).toEqual(bodies.map(sha1));
}, 20_000);

test.skipIf(Bun.which("curl") === null && process.env.CI === undefined)(
  "bodies on streams arrive as they were sent",
  async () => {
    const bodies = [body(5), body(6), body(7)];
    const head = ["-s", "--http2-prior-knowledge", "-H", "Host: svc", "-H", "Expect:"];
    const answers = bodies.map(async (content) => {
      const url = `http://127.0.0.1:${inbound}/`;
      const command = ["curl", ...head, "--data-binary", "@-", url];
      return await new Response(Bun.spawn(command, { stdin: content }).stdout).text();
    });
    expect(await Promise.all(answers)).toEqual(bodies.map(sha1));
  },
  20_000,
);
