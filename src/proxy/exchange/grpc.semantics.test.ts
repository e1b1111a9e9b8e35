/** gRPC through the proxy: what callers are told, what passes as it is, and deadlines. */
import { describe, expect, test } from "bun:test";
import type { ServerHttp2Stream } from "node:http2";
import { EngineFixture, type EngineFixtureOptions } from "../../testing/engine-fixture.ts";
import { FakeUpstream } from "../../testing/fake-upstream.ts";
import { answerCall, asGrpc, failCall, grpcCall, grpcSetUp } from "../../testing/grpc-set-up.ts";
import { answerOf, contentOf, Http2Client, type Http2Script } from "../../testing/http2-runtime.ts";

const { closing, toService, alone } = grpcSetUp();

describe("a call that the proxy cannot forward is answered in gRPC's terms:", () => {
  const abort = (status: number) => ({ fault: { abortPercent: 100, abortStatus: status } });

  test("no route", async () => {
    const { client } = alone();
    const { status, headers, body } = await client.request({ ...grpcCall, ":authority": "nobody" });
    expect([status, body]).toEqual([200, ""]);
    expect(headers["content-type"]).toBe("application/grpc");
    expect(headers["grpc-status"]).toBe("12");
    expect(headers["grpc-message"]).toBe("no-route");
    expect(headers["x-mesh-reason"]).toBe("no-route");
  });

  test("no instance, a limit reached, nobody listening", async () => {
    const none = await alone().client.request(grpcCall);
    expect([none.headers["grpc-status"], none.headers["x-mesh-reason"]]).toEqual([
      "14",
      "no-healthy-upstream",
    ]);
    const limits = { cluster: { circuitBreaker: { maxRequests: 0 } }, endpoints: [1] };
    const full = await alone(limits).client.request(grpcCall);
    expect([full.headers["grpc-status"], full.headers["x-mesh-reason"]]).toEqual([
      "14",
      "circuit-breaker-open",
    ]);
    const { client, service } = await toService(() => {});
    service.close();
    const gone = await client.request({ ...grpcCall });
    expect(gone.headers["grpc-status"]).toBe("14");
    expect(gone.headers["grpc-message"]).toStartWith("upstream-connect-failure");
  });

  // biome-ignore format: a table reads as a table
  const rows: readonly (readonly [http: number, grpc: string])[] = [
    [400, "13"], [401, "16"], [403, "7"], [404, "12"], [429, "14"],
    [500, "2"],  [502, "14"], [503, "14"], [504, "14"], [418, "2"],
  ];
  for (const [http, grpc] of rows)
    test(`a rule's ${http} is grpc-status ${grpc}`, async () => {
      const { headers } = await alone({ route: abort(http) }).client.request(grpcCall);
      expect(headers["grpc-status"]).toBe(grpc);
    });

  test("its message is percent-encoded UTF-8", async () => {
    const { client } = alone({ route: { name: "50% für\tuns", ...abort(503) } });
    const { headers } = await client.request(grpcCall);
    expect(headers["grpc-message"]).toBe("fault-abort; 50%25 f%C3%BCr%09uns");
    expect(headers["x-mesh-reason"]).toBe("fault-abort; 50% f?r?uns");
  });

  test("over HTTP/1.1 too, on a connection that goes on", async () => {
    const { mesh } = alone();
    const raw = await mesh.connect();
    closing({ close: () => raw.terminate() });
    for (let i = 0; i < 2; i++) {
      raw.send("POST /a.B/C HTTP/1.1\r\nHost: svc\r\nContent-Length: 0\r\n");
      raw.send("Content-Type: application/grpc+proto\r\n\r\n");
      const { status, head, body } = await raw.takeResponse();
      expect([status, body]).toEqual([200, ""]);
      expect(head).toContain("grpc-status: 14\r\n");
      expect(head).toContain("content-length: 0\r\n");
    }
  });

  test("other callers get what HTTP has for it", async () => {
    const type = { "content-type": "application/grpc-and-more" };
    const { status, headers } = await alone().client.request({ ...grpcCall, ...type });
    expect([status, headers["grpc-status"]]).toEqual([503, undefined]);
  });
});

describe("an answer passes as the upstream gives it:", () => {
  test("metadata, encodings and trailers of both sides", async () => {
    let asked: string | undefined;
    const { client, service } = await toService(async (stream) => {
      stream.on("trailers", (trailers) => {
        asked = String(trailers["x-sent-bin"]);
      });
      await contentOf(stream);
      const head = { "grpc-encoding": "gzip", "x-meta-bin": "AAEC/w==,BBBB" };
      stream.respond({ ":status": 200, ...asGrpc, ...head }, { waitForTrailers: true });
      const trailers = { "grpc-status": "5", "grpc-message": "a%20b", "x-t-bin": "/+8" };
      stream.on("wantTrailers", () => stream.sendTrailers(trailers));
      stream.end("\0\0\0\0\x01x");
    });
    const head = {
      ...grpcCall,
      "content-type": "application/grpc+proto",
      "grpc-encoding": "gzip",
      "grpc-accept-encoding": "identity,gzip",
      "x-ask-bin": "AP8=",
    };
    const stream = client.session.request({ ":authority": "svc", ...head }, {
      waitForTrailers: true,
    } as object);
    stream.on("wantTrailers", () => stream.sendTrailers({ "x-sent-bin": "AQ" }));
    const ended = new Promise<Record<string, unknown>>((resolve) =>
      stream.once("trailers", resolve),
    );
    const began = new Promise<Record<string, unknown>>((resolve) =>
      stream.once("response", resolve),
    );
    stream.resume();
    stream.end("\0\0\0\0\0");
    expect(await began).toMatchObject({ "grpc-encoding": "gzip", "x-meta-bin": "AAEC/w==,BBBB" });
    expect(await ended).toMatchObject({
      "grpc-status": "5",
      "grpc-message": "a%20b",
      "x-t-bin": "/+8",
    });
    expect(asked).toBe("AQ");
    const { ":method": _, ":path": path, ...fields } = head;
    expect(service.seen[0]).toMatchObject({ ...fields, ":path": path });
  });

  test("trailers only", async () => {
    const { client } = await toService((stream) => failCall(stream, 7, { "grpc-message": "no" }));
    const { headers, trailers } = await client.request(grpcCall);
    expect([headers["grpc-status"], headers["grpc-message"]]).toEqual(["7", "no"]);
    expect(headers["x-mesh-reason"]).toBeUndefined();
    expect(trailers).toBeUndefined();
  });

  test("a page of HTML from a server that is none of gRPC", async () => {
    const service = closing(
      new FakeUpstream({
        script: (_, reply) =>
          reply.respond(503, "<h1>busy</h1>", { "Content-Type": "text/html", "Retry-After": "1" }),
      }),
    );
    const mesh = closing(new EngineFixture({ endpoints: [service.port] }));
    const got = await closing(new Http2Client(mesh.port)).request(grpcCall, "x");
    expect([got.status, got.body]).toEqual([503, "<h1>busy</h1>"]);
    expect(got.headers["content-type"]).toBe("text/html");
    expect(got.headers["grpc-status"]).toBeUndefined();
  });

  test("an HTTP/1.1 caller gets trailers after the last chunk", async () => {
    const { mesh, service } = await toService((stream) => answerCall(stream, "content", 3));
    const raw = await mesh.connect();
    closing({ close: () => raw.terminate() });
    raw.send("POST /a.B/C HTTP/1.1\r\nHost: svc\r\nContent-Length: 0\r\n");
    raw.send("Content-Type: application/grpc\r\n\r\n");
    await raw.take("\r\n\r\n");
    expect(await raw.take("\r\n\r\n")).toBe("7\r\ncontent\r\n0\r\ngrpc-status: 3\r\n\r\n");
    expect(service.seen[0]?.te).toBe("trailers");
  });
});

describe("a response that has begun and cannot go on", () => {
  const began: Http2Script = (stream) => {
    stream.respond({ ":status": 200, ...asGrpc });
    stream.write("some");
  };

  test("ends with trailers that say why: its connection was lost", async () => {
    const { client, service, mesh } = await toService(began);
    const stream = client.session.request({ ":authority": "svc", ...grpcCall });
    stream.once("data", () => service.breakOff());
    const { body, trailers } = await answerOf(stream);
    expect(body).toBe("some");
    expect(trailers).toMatchObject({ "grpc-status": "14" });
    expect(trailers?.["x-mesh-reason"]).toStartWith("upstream-");
    expect(mesh.engine.stats().exchanges).toBe(0);
  });

  test("ends with trailers that say why: the server reset it", async () => {
    const { client } = await toService((stream) => {
      stream.respond({ ":status": 200, ...asGrpc });
      stream.write("some", () => stream.destroy(new Error("broken")));
    });
    const { body, trailers } = await client.request(grpcCall, "x");
    expect([body, trailers?.["grpc-status"]]).toEqual(["some", "14"]);
    expect(trailers?.["x-mesh-reason"]).toBe("upstream-reset");
  });

  test("is reset where it is no gRPC, of a call or not", async () => {
    const { client } = await toService((stream) => {
      stream.respond({ ":status": 200, "content-type": "text/html" });
      stream.write("some", () => stream.destroy(new Error("broken")));
    });
    expect(client.request({ ":method": "POST" }, "x")).rejects.toThrow();
    expect(client.request(grpcCall, "x")).rejects.toThrow();
  });
});

describe("deadlines", () => {
  async function seenTimeout(sent: string, route: EngineFixtureOptions["route"] = {}) {
    const { client, service } = await toService((stream) => answerCall(stream, "", 0), { route });
    // Opens the connection, which takes of the time.
    await client.request(grpcCall);
    await client.request({ ...grpcCall, "grpc-timeout": sent });
    return String(service.seen[1]?.["grpc-timeout"]);
  }

  test("a call whose time is over ends with DEADLINE_EXCEEDED, and its stream", async () => {
    const reset = Promise.withResolvers<number>();
    const { client, mesh } = await toService((stream) => {
      stream.on("close", () => reset.resolve(stream.rstCode));
    });
    const { status, headers } = await client.request(
      { ...grpcCall, "grpc-timeout": "30000u" },
      "x",
    );
    expect([status, headers["grpc-status"]]).toEqual([200, "4"]);
    expect(headers["x-mesh-reason"]).toBe("upstream-timeout");
    expect(await reset.promise).toBe(8);
    expect(mesh.scrape()).toContain(
      'envoy_cluster_upstream_rq_timeout{envoy_cluster_name="svc"} 1',
    );
  });

  test("also where the response had begun, and the request still goes on", async () => {
    const { client } = await toService((stream) => {
      stream.respond({ ":status": 200, ...asGrpc });
      stream.write("some");
    });
    const stream = client.session.request({
      ":authority": "svc",
      ...grpcCall,
      "grpc-timeout": "1S",
    });
    const trailers = new Promise<Record<string, unknown>>((resolve) =>
      stream.once("trailers", resolve),
    );
    stream.on("error", () => {});
    stream.resume();
    stream.write("still open");
    expect(await trailers).toMatchObject({ "grpc-status": "4" });
  });

  test("an endpoint is ejected for the status in its trailers, not for its heads", async () => {
    const cluster = {
      outlier: { consecutiveErrors: 2, intervalMs: 10_000, maxEjectionPercent: 100 },
    };
    const code: Record<string, number> = { "/a/fails": 14, "/a/denies": 7, "/a/works": 0 };
    const { client, mesh } = await toService(
      (stream, headers) => {
        stream.respond({ ":status": 200, ...asGrpc }, { waitForTrailers: true });
        stream.on("wantTrailers", () =>
          stream.sendTrailers({ "grpc-status": String(code[String(headers[":path"])]) }),
        );
        stream.end("some");
      },
      { cluster },
    );
    const ejected = /ejections_enforced_total\{[^}]*\} [1-9]/;
    for (const path of ["/a/fails", "/a/denies", "/a/fails", "/a/works", "/a/fails"])
      await client.request({ ...grpcCall, ":path": path }, "x");
    expect(mesh.scrape()).not.toMatch(ejected);
    await client.request({ ...grpcCall, ":path": "/a/fails" }, "x");
    expect(mesh.scrape()).toMatch(ejected);
  });

  test("no endpoint is ejected because callers give it no time", async () => {
    const cluster = {
      outlier: { consecutiveErrors: 1, intervalMs: 10_000, maxEjectionPercent: 100 },
    };
    const { client, mesh } = await toService(
      (stream, headers) => {
        if (headers[":path"] === "/a/said") failCall(stream, 4);
      },
      { cluster },
    );
    await client.request({ ...grpcCall, "grpc-timeout": "1n" });
    await client.request({ ...grpcCall, ":path": "/a/said", "grpc-timeout": "5S" });
    const ejected = /ejections_enforced_total\{[^}]*\} [1-9]/;
    expect(mesh.scrape()).not.toMatch(ejected);
    // A time that an operator chose is another matter.
    const route = { timeoutMs: 30 };
    const other = await toService(() => {}, { cluster, route });
    await other.client.request({ ...grpcCall, "grpc-timeout": "5S" });
    expect(other.mesh.scrape()).toMatch(ejected);
  });

  test("are passed on as they came where nothing takes of them", async () => {
    for (const sent of ["1H", "20S", "00000007S", "99999999H"])
      expect(await seenTimeout(sent)).toBe(sent);
  });

  test("that nobody can understand are the server's to judge", async () => {
    for (const sent of ["5x", "0S", "123456789m", "-1S"])
      expect(await seenTimeout(sent)).toBe(sent);
  });

  test("a shorter timeout of the route is the deadline", async () => {
    const seen = await seenTimeout("1H", { timeoutMs: 20_000 });
    expect(seen).toMatch(/^(20000|19\d\d\d)m$/);
    const { client } = await toService(() => {}, { route: { timeoutMs: 30 } });
    const { headers } = await client.request({ ...grpcCall, "grpc-timeout": "1H" });
    expect(headers["grpc-status"]).toBe("4");
  });

  test("a longer one is not", async () => {
    expect(await seenTimeout("5S", { timeoutMs: 20_000 })).toBe("5S");
  });

  test("nor is one that nobody wrote", async () => {
    expect(await seenTimeout("1H", { timeoutMs: 20_000, timeoutIsDefault: true })).toBe("1H");
  });

  test("nor does it cut the call", async () => {
    const streams: ServerHttp2Stream[] = [];
    const { client } = await toService((stream) => void streams.push(stream), {
      route: { timeoutMs: 40, timeoutIsDefault: true },
    });
    const patient = client.request({ ...grpcCall, "grpc-timeout": "20S" });
    // Its time runs out after that of the other would have.
    const { headers } = await client.request(grpcCall);
    expect(headers["grpc-status"]).toBe("4");
    answerCall(streams[0]!, "at last", 0);
    expect((await patient).body).toBe("at last");
  });

  test("one that the caller asks for is the deadline if it is shorter", async () => {
    const { client } = await toService(() => {}, { route: { timeoutIsDefault: true } });
    const asked = { "grpc-timeout": "1H", "x-envoy-upstream-rq-timeout-ms": "30" };
    const { headers } = await client.request({ ...grpcCall, ...asked });
    expect(headers["grpc-status"]).toBe("4");
  });

  test("servers of HTTP/1.1 are told too, once", async () => {
    const service = closing(new FakeUpstream());
    const retry = { attempts: 1, perTryTimeoutMs: 4_000 };
    const mesh = closing(new EngineFixture({ endpoints: [service.port], route: { retry } }));
    const client = closing(new Http2Client(mesh.port));
    await client.request({ ...grpcCall, "grpc-timeout": "1M" });
    expect(service.requests[0]?.field("grpc-timeout")).toMatch(/^(4000|39\d\d)m$/);
  });

  test("a try is told of its own end", async () => {
    const retry = { attempts: 1, perTryTimeoutMs: 4_000 };
    expect(await seenTimeout("1M", { retry })).toMatch(/^(4000|39\d\d)m$/);
  });

  test("a caller without one is timed by the route", async () => {
    const { client, service } = await toService(() => {}, { route: { timeoutMs: 30 } });
    const { headers } = await client.request(grpcCall);
    expect(headers["grpc-status"]).toBe("4");
    expect(service.seen[0]?.["grpc-timeout"]).toBeUndefined();
  });
});
