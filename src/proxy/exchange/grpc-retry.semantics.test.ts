/** Calls of gRPC that are tried again, and what is counted of calls. */
import { describe, expect, test } from "bun:test";
import type { ServerHttp2Stream } from "node:http2";
import { RetryPolicy_Condition as On } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import type { EngineFixture, EngineFixtureOptions } from "../../testing/engine-fixture.ts";
import { answerCall, failCall, grpcCall, grpcSetUp } from "../../testing/grpc-set-up.ts";
import { contentOf } from "../../testing/http2-runtime.ts";

const { toService } = grpcSetUp();

describe("retries", () => {
  // biome-ignore format: a table reads as a table
  const rows: readonly (readonly [on: On, name: string, code: number])[] = [
    [On.CONDITION_CANCELLED,          "cancelled",          1],
    [On.CONDITION_DEADLINE_EXCEEDED,  "deadline-exceeded",  4],
    [On.CONDITION_RESOURCE_EXHAUSTED, "resource-exhausted", 8],
    [On.CONDITION_INTERNAL,           "internal",          13],
    [On.CONDITION_UNAVAILABLE,        "unavailable",       14],
  ];

  /** A service that fails each call once with `code`. */
  async function failingOnce(
    code: number,
    options: Partial<EngineFixtureOptions> = {},
    fields: Record<string, string> = {},
  ) {
    let calls = 0;
    return toService(async (stream) => {
      if (++calls % 2 === 1) return failCall(stream, code, fields);
      answerCall(stream, await contentOf(stream), 0);
    }, options);
  }

  const retrying = (...on: On[]) => ({ route: { retry: { attempts: 2, on, backoffMs: 1 } } });

  for (const [on, name, code] of rows) {
    test(`a route that retries ${name} tries code ${code} again, and no other`, async () => {
      const { client, service, mesh } = await failingOnce(code, retrying(on));
      const { body, trailers } = await client.request(grpcCall, "content");
      expect([body, trailers?.["grpc-status"]]).toEqual(["content", "0"]);
      expect(service.seen.length).toBe(2);
      expect(mesh.scrape()).toContain(
        'envoy_cluster_upstream_rq_retry_success{envoy_cluster_name="svc"} 1',
      );
      const others = await failingOnce(code === 14 ? 13 : 14, retrying(on));
      await others.client.request(grpcCall, "content");
      expect(others.service.seen.length).toBe(1);
    });

    test(`a caller may ask for it: x-envoy-retry-grpc-on: ${name}`, async () => {
      const { client, service } = await failingOnce(code);
      const asked = { "x-envoy-retry-grpc-on": `aborted, ${name}` };
      const { trailers } = await client.request({ ...grpcCall, ...asked }, "content");
      expect(trailers?.["grpc-status"]).toBe("0");
      expect(service.seen.map((head) => head["x-envoy-retry-grpc-on"])).toEqual([
        undefined,
        undefined,
      ]);
    });
  }

  test("a caller may say how often", async () => {
    const { client, service } = await toService((stream) => failCall(stream, 14));
    const asked = { "x-envoy-retry-grpc-on": "unavailable", "x-envoy-max-retries": "3" };
    const { headers } = await client.request({ ...grpcCall, ...asked });
    expect([headers["grpc-status"], service.seen.length]).toEqual(["14", 4]);
  });

  test("are for gRPC alone", async () => {
    const { client, service } = await toService((stream) => failCall(stream, 14));
    const json = { "content-type": "application/json", "x-envoy-retry-grpc-on": "unavailable" };
    await client.request({ ...grpcCall, ...json });
    expect(service.seen.length).toBe(1);
  });

  test("nothing is tried again once something was passed on", async () => {
    const { client, service } = await toService(
      (stream) => answerCall(stream, "", 14),
      retrying(On.CONDITION_UNAVAILABLE),
    );
    const { trailers } = await client.request(grpcCall);
    expect([trailers?.["grpc-status"], service.seen.length]).toEqual(["14", 1]);
  });

  test("the time left shrinks from try to try", async () => {
    const { client, service } = await failingOnce(14, {
      route: { retry: { attempts: 1, on: [On.CONDITION_UNAVAILABLE], backoffMs: 30 } },
    });
    // Two tries open the connection.
    await client.request(grpcCall);
    await client.request({ ...grpcCall, "grpc-timeout": "9S" });
    const [first, second] = service.seen.slice(2).map((head) => String(head["grpc-timeout"]));
    expect(first).toBe("9S");
    expect(second).toMatch(/^8\d\d\dm$/);
  });

  test("content that is too long to be kept is not sent again", async () => {
    const { client, service } = await toService(async (stream) => {
      await contentOf(stream);
      failCall(stream, 14);
    }, retrying(On.CONDITION_UNAVAILABLE));
    const { headers } = await client.request(grpcCall, "x".repeat(70_000));
    expect([headers["grpc-status"], service.seen.length]).toEqual(["14", 1]);
  });

  describe("a server's pushback", () => {
    test("of 0 has it at once", async () => {
      const route = { retry: { attempts: 1, on: [On.CONDITION_UNAVAILABLE], backoffMs: 60_000 } };
      const { client } = await failingOnce(14, { route }, { "grpc-retry-pushback-ms": "0" });
      expect((await client.request(grpcCall)).trailers?.["grpc-status"]).toBe("0");
    });

    for (const [pushback, timeout] of [
      ["-1", "1H"],
      ["x", "1H"],
      // Beyond the call's deadline, or anybody's patience.
      ["5000", "2S"],
      ["60001", "1H"],
    ] as const)
      test(`of ${pushback} with ${timeout} left has none`, async () => {
        const { client, service } = await failingOnce(14, retrying(On.CONDITION_UNAVAILABLE), {
          "grpc-retry-pushback-ms": pushback,
        });
        const { headers } = await client.request({ ...grpcCall, "grpc-timeout": timeout });
        expect([headers["grpc-status"], service.seen.length]).toEqual(["14", 1]);
        expect(headers["grpc-retry-pushback-ms"]).toBe(pushback);
      });
  });
});

/** What is no gRPC has no status, whatever its trailers say. */
function answerAsPage(stream: ServerHttp2Stream): void {
  stream.respond({ ":status": 200, "content-type": "text/html" }, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  stream.end("<p>");
}

describe("calls are counted", () => {
  function lines(mesh: EngineFixture, name: string): string[] {
    return mesh
      .scrape()
      .split("\n")
      .filter((line) => line.startsWith(`${name}{`));
  }

  test("with their status, as requests of protocol grpc", async () => {
    const { client, mesh } = await toService((stream, headers) =>
      headers[":path"] === "/a.B/Only" ? failCall(stream, 5) : answerCall(stream, "abc", 0),
    );
    await client.request(grpcCall, "hello");
    await client.request({ ...grpcCall, ":path": "/a.B/Only" });
    await client.request({ ...grpcCall, ":authority": "nobody" });
    const requests = lines(mesh, "istio_requests_total");
    const of = (service: string, status: string): string | undefined =>
      requests.find(
        (line) =>
          line.includes(`destination_service="${service}"`) &&
          line.includes(`grpc_response_status="${status}"`),
      );
    expect(of("svc", "0")).toMatch(/request_protocol="grpc".*response_code="200".* 1$/);
    expect(of("svc", "5")).toMatch(/response_flags="-".* 1$/);
    expect(of("unknown", "12")).toMatch(/response_flags="NR".* 1$/);
    expect(lines(mesh, "istio_request_bytes_sum").join()).toMatch(/request_protocol="grpc".* 5$/);
    expect(lines(mesh, "istio_request_duration_milliseconds_count").join()).toContain('"grpc"');
  });

  test("by method, where the upstream has it", async () => {
    const { client, mesh } = await toService((stream, headers) => {
      if (headers[":path"] === "/no.Such/Method") failCall(stream, 12);
      else if (headers[":path"] === "/shop.Cart/Break") stream.close(2);
      else if (headers[":path"] === "/shop.Cart/Page") answerAsPage(stream);
      else answerCall(stream, "", headers[":path"] === "/shop.Cart/Add" ? 0 : 9);
    });
    for (const path of ["/shop.Cart/Add", "/shop.Cart/Add", "/shop.Cart/Drop", "/no.Such/Method"])
      await client.request({ ...grpcCall, ":path": path });
    await client.request({ ...grpcCall, ":path": "/shop.Cart/Break" });
    await client.request({ ...grpcCall, ":path": "/shop.Cart/Page" });
    await client.request({ ...grpcCall, ":path": "/a/b/c" });
    const of = (name: string): string[] =>
      lines(mesh, `envoy_cluster_grpc_${name}`).map((line) =>
        line.replace(/^.*method="(.*?)",envoy_grpc_bridge_service="(.*?)"\} /, "$2 $1 "),
      );
    expect(of("total")).toEqual(["shop.Cart Add 2", "shop.Cart Drop 1", "other other 4"]);
    expect(of("success")).toEqual(["shop.Cart Add 2", "shop.Cart Drop 0", "other other 0"]);
    expect(of("failure")).toEqual(["shop.Cart Add 0", "shop.Cart Drop 1", "other other 4"]);
    expect(of("0")).toEqual(["shop.Cart Add 2"]);
    expect(of("9").sort()).toEqual(["other other 1", "shop.Cart Drop 1"]);
    expect(of("12")).toEqual(["other other 1"]);
  });
});
