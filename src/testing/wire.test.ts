/** The raw client and the fake upstream, each tried with the other. */
import { afterEach, expect, test } from "bun:test";
import { FakeUpstream, type FakeUpstreamOptions } from "./fake-upstream.ts";
import { freePorts } from "./free-port.ts";
import { RawClient } from "./raw-client.ts";

const cleanUps: (() => void)[] = [];
afterEach(() => {
  for (const cleanUp of cleanUps.splice(0)) cleanUp();
});

async function setUp(
  options: FakeUpstreamOptions = {},
  timeoutMs?: number,
): Promise<{ upstream: FakeUpstream; client: RawClient }> {
  const upstream = new FakeUpstream(options);
  cleanUps.push(() => upstream.close());
  const client = await RawClient.connect({
    port: upstream.port,
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  });
  return { upstream, client };
}

test("a request is recorded whole, and answered as the script says", async () => {
  const { upstream, client } = await setUp({
    script: (request, reply) => reply.respond(201, `saw ${request.body}`, { "x-by": "fake" }),
  });
  client.send("POST /a?b HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nx-a: 2\r\ncontent-length: 5\r\n\r\nhe");
  client.send("llo");
  const response = await client.takeResponse();
  expect([response.status, response.body]).toEqual([201, "saw hello"]);
  expect(response.head).toContain("\r\nx-by: fake\r\n");
  const [request] = upstream.requests;
  expect([request!.method, request!.target, request!.body]).toEqual(["POST", "/a?b", "hello"]);
  expect([request!.field("x-a"), request!.field("none")]).toEqual(["1, 2", undefined]);
  expect(request!.head.endsWith("x-a: 2\r\ncontent-length: 5\r\n\r\n")).toBe(true);
  expect(upstream.received.endsWith("\r\n\r\nhello")).toBe(true);
});

test("requests in one write are told apart, and chunked bodies decoded", async () => {
  const { upstream, client } = await setUp();
  const chunked = "PUT /1 HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
  client.send(`${chunked}3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nt: 1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n`);
  for (let i = 0; i < 2; i++) expect((await client.takeResponse()).body).toBe("ok");
  expect(upstream.requests.map(({ target, body }) => [target, body])).toEqual([
    ["/1", "abcde"],
    ["/2", ""],
  ]);
  expect([upstream.connections, upstream.requests[1]!.connection]).toEqual([1, 1]);
});

test("the client reads chunked responses, those without a body, and until the end", async () => {
  const { upstream, client } = await setUp({
    script: (request, reply) => {
      if (request.target === "/chunked")
        reply.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n");
      else if (request.method === "HEAD")
        reply.send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n");
      else if (request.target === "/none") reply.respond(204);
      else {
        reply.send("HTTP/1.1 200 OK\r\n\r\nuntil the end");
        reply.end();
      }
    },
  });
  client.send("GET /chunked HTTP/1.1\r\n\r\n");
  expect((await client.takeResponse()).body).toBe("ab");
  client.send("HEAD / HTTP/1.1\r\n\r\n");
  expect((await client.takeResponse(true)).status).toBe(200);
  client.send("GET /none HTTP/1.1\r\n\r\n");
  expect((await client.takeResponse()).status).toBe(204);
  client.send("GET / HTTP/1.1\r\n\r\n");
  expect((await client.takeResponse()).body).toBe("until the end");
  await upstream.until(() => upstream.requests.length === 4);
});

test("a reset, a greeting before any request, and silence are seen as such", async () => {
  const { client } = await setUp({ onConnection: (reply) => reply.send("220 hello\r\n") });
  expect(await client.take("\r\n")).toBe("220 hello\r\n");
  const resetting = await setUp({ script: (_request, reply) => reply.reset() });
  resetting.client.send("GET / HTTP/1.1\r\n\r\n");
  await resetting.client.untilEnd();
  expect(resetting.client.wasReset).toBe(true);
  const silent = await setUp({ script: () => {} }, 50);
  silent.client.send("GET / HTTP/1.1\r\n\r\n");
  await expect(silent.client.take("HTTP")).rejects.toThrow('waited 50 ms for "HTTP"; open; had ""');
});

test("large bodies go both ways whole, and a paused client holds the upstream back", async () => {
  const body = "0123456789abcdef".repeat(1 << 18);
  const { upstream, client } = await setUp({
    script: (request, reply) => reply.respond(200, request.body),
  });
  client.pause();
  client.send(`POST / HTTP/1.1\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
  await upstream.until(() => upstream.requests.length === 1);
  expect(client.bytesReceived).toBe(0);
  client.resume();
  const response = await client.takeResponse();
  expect(response.body === body).toBe(true);
});

test("a half-closed client is answered, and a closed upstream has no connections", async () => {
  const { upstream, client } = await setUp();
  client.send("GET / HTTP/1.1\r\n\r\n");
  client.shutdown();
  expect((await client.takeResponse()).status).toBe(200);
  await client.untilEnd();
  await upstream.until(() => upstream.openConnections === 0);
});

test("a free port can be bound", () => {
  const port = freePorts(1)[0]!;
  const listener = Bun.listen({ hostname: "127.0.0.1", port, socket: { data() {} } });
  expect(listener.port).toBe(port);
  listener.stop(true);
});
