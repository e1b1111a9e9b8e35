/** Spans and entries of logs at collectors: their JSON, which of them, and what is lost. */
import { afterEach, expect, test } from "bun:test";
import type { TypedValue } from "../attribute/value.ts";
import type { AnyInstance } from "../policy/template.ts";
import { adapterEnvironment, openRemote, problemsOf } from "../testing/adapter-environment.ts";
import { otlp } from "./otlp.ts";
import { isSampled } from "./trace-sample.ts";
import { zipkin } from "./zipkin.ts";

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const text = (value: string): TypedValue => ({ type: "STRING", value });

function collector(status = 200) {
  const posts: { path: string; body: unknown }[] = [];
  const server = Bun.serve({
    port: 0,
    fetch: async (request) => {
      posts.push({ path: new URL(request.url).pathname, body: await request.json() });
      return new Response("{}", { status });
    },
  });
  closing.push(() => server.stop(true));
  const received = async (count: number) => {
    while (posts.length < count) await Bun.sleep(1);
    return posts;
  };
  return { url: `http://127.0.0.1:${server.port}`, received };
}

const span = {
  template: "tracespan",
  name: "s",
  traceId: "463ac35c9f6413ad48485a3953bb6124",
  spanId: "a2fb4a1d1a96d312",
  parentSpanId: "0020000000000001",
  spanName: "reviews:9080/*",
  startTime: { seconds: 1_500_000_000, nanos: 1_000 },
  endTime: { seconds: 1_500_000_001, nanos: 0 },
  spanTags: { "http.method": text("GET") },
  httpStatusCode: 503,
  sourceName: "productpage",
  sourceIp: new Uint8Array([10, 0, 0, 1]),
  destinationName: "reviews",
} satisfies AnyInstance;

test("otlp: a log and a span, each to its path, after a while", async () => {
  const { url, received } = collector();
  const environment = adapterEnvironment();
  const parameters = { endpoint: `${url}/`, resource: { "service.name": "shop" } };
  const handler = openRemote(otlp, parameters, environment);
  closing.push(() => handler.close());
  const variables = {
    n: { type: "INT64", value: 5 },
    m: { type: "STRING_MAP", value: new Map([["a", "b"]]) },
  } as const;
  const entry = { template: "logentry", name: "l", severity: "Warning", variables } as const;
  expect(await handler.report!([entry, span])).toEqual([]);
  environment.clock.advance(5_000);
  const posts = (await received(2)).toSorted((a, b) => (a.path < b.path ? -1 : 1));
  const resource = { attributes: [{ key: "service.name", value: { stringValue: "shop" } }] };
  const scope = { name: "mesh" };
  expect(posts).toEqual([
    {
      path: "/v1/logs",
      body: {
        resourceLogs: [
          {
            resource,
            scopeLogs: [
              {
                scope,
                logRecords: [
                  {
                    timeUnixNano: "1767225600000000000",
                    severityNumber: 13,
                    severityText: "Warning",
                    eventName: "l",
                    attributes: [
                      { key: "n", value: { intValue: "5" } },
                      {
                        key: "m",
                        value: {
                          kvlistValue: { values: [{ key: "a", value: { stringValue: "b" } }] },
                        },
                      },
                    ],
                  },
                ],
              },
            ],
          },
        ],
      },
    },
    {
      path: "/v1/traces",
      body: {
        resourceSpans: [
          {
            resource,
            scopeSpans: [
              {
                scope,
                spans: [
                  {
                    traceId: span.traceId,
                    spanId: span.spanId,
                    parentSpanId: span.parentSpanId,
                    name: span.spanName,
                    kind: 2,
                    startTimeUnixNano: "1500000000000001000",
                    endTimeUnixNano: "1500000001000000000",
                    attributes: [
                      { key: "http.method", value: { stringValue: "GET" } },
                      { key: "http.response.status_code", value: { intValue: "503" } },
                      { key: "peer.service", value: { stringValue: "productpage" } },
                      { key: "network.peer.address", value: { stringValue: "10.0.0.1" } },
                    ],
                    status: { code: 2 },
                  },
                ],
              },
            ],
          },
        ],
      },
    },
  ]);
});

test("zipkin: a span of a server that shares the client's id", async () => {
  const { url, received } = collector(202);
  const environment = adapterEnvironment();
  const parameters = { url: `${url}/api/v2/spans`, sampleProbability: 1 };
  const handler = openRemote(zipkin, parameters, environment);
  closing.push(() => handler.close());
  await handler.report!([span]);
  environment.clock.advance(1_000);
  expect(await received(1)).toEqual([
    {
      path: "/api/v2/spans",
      body: [
        {
          traceId: span.traceId,
          id: span.spanId,
          parentId: span.parentSpanId,
          kind: "SERVER",
          name: span.spanName,
          timestamp: 1_500_000_000_000_001,
          duration: 999_999,
          localEndpoint: { serviceName: "reviews" },
          remoteEndpoint: { serviceName: "productpage", ipv4: "10.0.0.1" },
          shared: true,
          tags: { "http.method": "GET", "http.status_code": "503" },
        },
      ],
    },
  ]);
});

test("what a collector does not take, and what is too much, is lost and counted", async () => {
  const { url, received } = collector(500);
  const environment = adapterEnvironment();
  const handler = openRemote(otlp, { endpoint: url, batchSize: 2 }, environment);
  closing.push(() => handler.close());
  await handler.report!(new Array(12).fill(span));
  await received(5);
  const { families, values } = environment.registry.view();
  const lost = families.find(({ name }) => name === "mesh_otlp_lost_total")!.series[0]!;
  while (values[lost.slot]! < 12) await Bun.sleep(1);
  expect(values[lost.slot]).toBe(12);
});

test("a span without ids or times is said", async () => {
  const handler = openRemote(zipkin, { url: "http://127.0.0.1:1", sampleProbability: 1 });
  closing.push(() => handler.close());
  expect(await handler.report!([{ template: "tracespan", name: "s", traceId: "1" }])).toEqual([
    "s: a span without ids or times",
  ]);
});

test("whether a trace is kept depends on its id alone, and as often as was asked", () => {
  const ids = Array.from({ length: 2_000 }, (_, i) =>
    new Bun.CryptoHasher("md5").update(String(i)).digest("hex"),
  );
  const kept = ids.filter((id) => isSampled(id, 0.1));
  expect(kept.length).toBeGreaterThan(140);
  expect(kept.length).toBeLessThan(260);
  expect(kept.every((id) => isSampled(id, 0.2) && isSampled(id.slice(16), 0.1))).toBe(true);
  expect([isSampled("", 0.5), isSampled("", 1), isSampled(ids[0]!, 0)]).toEqual([
    false,
    true,
    false,
  ]);
});

test("parameters that cannot work", () => {
  expect(problemsOf(otlp, { sampleProbability: 100 })).toEqual([
    "sampleProbability: must be between 0 and 1, not 100",
  ]);
  expect(problemsOf(zipkin, { sampleProbability: 1 })).toEqual(["url: must be given"]);
  expect(problemsOf(zipkin, { url: "http://a" })).toEqual([
    "sampleProbability: is 0: no span is sent",
  ]);
});
