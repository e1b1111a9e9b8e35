/** Callers whose requests outlast the time to drain: what each is told, and what its service is. */
import { describe, expect, test } from "bun:test";
import { type EventEmitter, once } from "node:events";
import { constants, type ServerHttp2Stream } from "node:http2";
import { engineSetUp } from "../../testing/engine-set-up.ts";
import { asGrpc, grpcCall, grpcSetUp } from "../../testing/grpc-set-up.ts";
import { answerOf } from "../../testing/http2-runtime.ts";

const { toService } = grpcSetUp();
const setUp = engineSetUp();
const GET = "GET / HTTP/1.1\r\nHost: svc\r\n\r\n";
const plainCall = { ":method": "GET" } as const;

/** A service that begins answers, or none, and never ends one. */
async function neverEnding(headers: Readonly<Record<string, string>> | undefined) {
  const began = Promise.withResolvers<ServerHttp2Stream>();
  const set = await toService((stream) => {
    if (headers !== undefined) {
      stream.respond({ ":status": 200, ...headers });
      stream.write("part");
    }
    began.resolve(stream);
  });
  return { ...set, began: began.promise };
}

describe.each(["drain", "close"] as const)("at the end of the drain time, by %s():", (by) => {
  type Mesh = Awaited<ReturnType<typeof neverEnding>>["mesh"];
  const end = async ({ engine }: Mesh): Promise<void> => {
    if (by === "drain") await engine.drain(1);
    else engine.close();
  };

  test("a call of gRPC whose head was passed on ends with trailers", async () => {
    const { client, mesh, began } = await neverEnding(asGrpc);
    const call = client.session.request({ ":authority": "svc", ...grpcCall });
    const answer = answerOf(call);
    const stream = await began;
    const cut = once(stream, "close");
    await once(call, "data");
    await end(mesh);
    const { status, trailers } = await answer;
    expect(status).toBe(200);
    expect(trailers).toMatchObject({
      "grpc-status": "14",
      "grpc-message": "proxy-stopping",
      "x-mesh-reason": "proxy-stopping",
    });
    await cut;
    expect(stream.rstCode).toBe(constants.NGHTTP2_CANCEL);
    expect(mesh.scrape()).toMatch(/istio_requests_total\{[^}]*response_flags="LR"[^}]*\} 1/);
  });

  test("one whose head was not has trailers only", async () => {
    const { client, mesh, began } = await neverEnding(undefined);
    const call = client.session.request({ ":authority": "svc", ...grpcCall });
    const answer = answerOf(call);
    const stream = await began;
    const cut = once(stream, "close");
    await end(mesh);
    const { headers, body, trailers } = await answer;
    expect([headers["grpc-status"], headers["grpc-message"]]).toEqual(["14", "proxy-stopping"]);
    expect([body, trailers]).toEqual(["", undefined]);
    await cut;
    expect(stream.rstCode).toBe(constants.NGHTTP2_CANCEL);
  });

  test("another request of HTTP/2 that was not answered yet gets 503", async () => {
    const { client, mesh, began } = await neverEnding(undefined);
    const answer = client.request(plainCall);
    await began;
    await end(mesh);
    const { status, headers } = await answer;
    expect([status, headers["x-mesh-reason"]]).toEqual([503, "proxy-stopping"]);
    expect(mesh.scrape()).toMatch(/istio_requests_total\{[^}]*response_flags="LR"[^}]*\} 1/);
  });

  test("one that was is reset, and not as if all were well", async () => {
    const { client, mesh, began } = await neverEnding({});
    const request = client.session.request({ ":authority": "svc", ...plainCall });
    request.on("error", () => {});
    const stream = await began;
    const over = (one: EventEmitter) => new Promise((resolve) => one.once("close", resolve));
    const closed = Promise.all([over(request), over(stream)]);
    await once(request, "data");
    await end(mesh);
    await closed;
    expect(request.rstCode).toBe(constants.NGHTTP2_INTERNAL_ERROR);
    expect(stream.rstCode).toBe(constants.NGHTTP2_CANCEL);
  });

  test("one of HTTP/1.1 that was not answered yet gets 503, and its connection ends", async () => {
    const { client, mesh, service } = await setUp(() => {});
    client.send(GET);
    await service.until(() => service.requests.length === 1);
    const ended = end(mesh);
    const answer = await client.untilEnd();
    client.close();
    await ended;
    expect(answer).toStartWith("HTTP/1.1 503 ");
    expect(answer).toContain("x-mesh-reason: proxy-stopping\r\n");
    expect(answer).toContain("connection: close\r\n");
  });

  test.each([
    ["counted", "Content-Length: 8\r\n\r\nhalf"],
    ["chunked", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"],
    ["until the connection ends", "\r\nhalf"],
  ])("an answer of HTTP/1.1 that was begun is cut, never whole: %s", async (_, rest) => {
    const { client, mesh } = await setUp((_request, reply) =>
      reply.send(`HTTP/1.1 200 OK\r\n${rest}`),
    );
    client.send(GET);
    await client.until(() => client.received.includes("half"));
    const [answer] = await Promise.all([client.untilEnd(), end(mesh)]);
    expect(answer).not.toContain("0\r\n\r\n");
    expect(answer).not.toContain("503");
    expect(client.wasReset).toBe(true);
  });
});
