/** Spans, logs and metrics at collectors: their messages, which of them, and what is lost. */
import { afterEach, expect, test } from "bun:test";
import { create, type DescMessage, fromBinary, toBinary, toJson } from "@bufbuild/protobuf";
import {
  ExportLogsRequestSchema,
  ExportMetricsRequestSchema,
  ExportResponseSchema,
  ExportTraceRequestSchema,
  MetricSchema,
  SpanSchema,
} from "../api/gen/otlp/v1/otlp_pb.ts";
import type { TypedValue } from "../attribute/value.ts";
import type { AnyInstance, Instance } from "../policy/template.ts";
import { adapterEnvironment, openRemote, problemsOf } from "../testing/adapter-environment.ts";
import { MetricSeries, SeriesBudget } from "./metric-series.ts";
import { otlp } from "./otlp.ts";
import { encodeMetric } from "./otlp-metric.ts";
import { encodeSpan } from "./otlp-record.ts";
import { isSampled } from "./trace-sample.ts";
import { zipkin } from "./zipkin.ts";

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const text = (value: string): TypedValue => ({ type: "STRING", value });

const requests: Readonly<Record<string, DescMessage>> = {
  "/v1/logs": ExportLogsRequestSchema,
  "/v1/traces": ExportTraceRequestSchema,
  "/v1/metrics": ExportMetricsRequestSchema,
};

/** Messages are shown in the JSON of protobuf: ids are base64. */
function collector(status = 200, answer: Uint8Array<ArrayBuffer> | string = "{}") {
  const posts: { path: string; type: string; tenant: string | null; body: unknown }[] = [];
  const server = Bun.serve({
    port: 0,
    fetch: async (request) => {
      const path = new URL(request.url).pathname;
      const schema = requests[path];
      const body = schema
        ? toJson(schema, fromBinary(schema, await request.bytes()))
        : await request.json();
      const type = request.headers.get("content-type") ?? "";
      posts.push({ path, type, tenant: request.headers.get("x-tenant"), body });
      return new Response(answer, { status });
    },
  });
  closing.push(() => server.stop(true));
  const received = async (count: number) => {
    while (posts.length < count) await Bun.sleep(1);
    return posts;
  };
  return { url: `http://127.0.0.1:${server.port}`, received };
}

const base64 = (hex: string): string => Uint8Array.fromHex(hex).toBase64();

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
  const parameters = {
    endpoint: `${url}/`,
    headers: { "x-tenant": "a" },
    resource: { "service.name": "shop" },
  };
  const handler = openRemote(otlp, parameters, environment);
  closing.push(() => handler.close());
  const variables = {
    n: { type: "INT64", value: 5 },
    big: { type: "INT64", value: -(2n ** 63n) },
    d: { type: "DOUBLE", value: 0.1 },
    b: { type: "BOOL", value: false },
    ip: { type: "IP_ADDRESS", value: new Uint8Array([10, 0, 0, 1]) },
    took: { type: "DURATION", value: 12_300_000 },
    m: { type: "STRING_MAP", value: new Map([["a", "b"]]) },
  } as const;
  const entry = { template: "logentry", name: "l", severity: "Warning", variables } as const;
  expect(await handler.report!([entry, span])).toEqual([]);
  environment.clock.advance(5_000);
  const posts = (await received(2)).toSorted((a, b) => (a.path < b.path ? -1 : 1));
  const resource = { attributes: [{ key: "service.name", value: { stringValue: "shop" } }] };
  const scope = { name: "mesh" };
  const nowNano = "1767225600000000000";
  expect(posts.map(({ type, tenant }) => [type, tenant])).toEqual([
    ["application/x-protobuf", "a"],
    ["application/x-protobuf", "a"],
  ]);
  const logRecord = {
    timeUnixNano: nowNano,
    observedTimeUnixNano: nowNano,
    severityNumber: 13,
    severityText: "Warning",
    eventName: "l",
    attributes: [
      { key: "n", value: { intValue: "5" } },
      { key: "big", value: { intValue: "-9223372036854775808" } },
      { key: "d", value: { doubleValue: 0.1 } },
      { key: "b", value: { boolValue: false } },
      { key: "ip", value: { stringValue: "10.0.0.1" } },
      { key: "took", value: { stringValue: "12.3ms" } },
      { key: "m", value: { kvlistValue: { values: [{ key: "a", value: { stringValue: "b" } }] } } },
    ],
  };
  const record = {
    traceId: base64("463ac35c9f6413ad48485a3953bb6124"),
    spanId: base64("a2fb4a1d1a96d312"),
    parentSpanId: base64("0020000000000001"),
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
  };
  expect(posts.map(({ path, body }) => [path, body])).toEqual([
    ["/v1/logs", { resourceLogs: [{ resource, scopeLogs: [{ scope, logRecords: [logRecord] }] }] }],
    ["/v1/traces", { resourceSpans: [{ resource, scopeSpans: [{ scope, spans: [record] }] }] }],
  ]);
});

test("otlp: ids and times that a span may have", () => {
  const decoded = (facts: Partial<Instance<"tracespan">>) => {
    const encoded = encodeSpan({ ...span, ...facts });
    return encoded && fromBinary(SpanSchema, encoded);
  };
  expect(decoded({ traceId: "48485A3953BB6124" })?.traceId.toHex()).toBe(
    "000000000000000048485a3953bb6124",
  );
  for (const parentSpanId of ["", "0000000000000000", "x", "1".repeat(17)])
    expect(decoded({ parentSpanId })?.parentSpanId.length).toBe(0);
  for (const traceId of ["", "0", "0".repeat(32), "x".repeat(32), "1".repeat(33)])
    expect(decoded({ traceId })).toBeUndefined();
  for (const spanId of ["", "0000", "1".repeat(17)]) expect(decoded({ spanId })).toBeUndefined();
  const year9999 = { seconds: 253_402_300_799, nanos: 0 };
  const before = { seconds: -62_135_596_800, nanos: 0 };
  const odd = decoded({ startTime: before, endTime: year9999 });
  expect([odd?.startTimeUnixNano, odd?.endTimeUnixNano]).toEqual([0n, 2n ** 64n - 1n]);
  expect(decoded({ spanName: "a\udcff" })?.name).toBe("a\ufffd");
  expect(decoded({ httpStatusCode: 499 })?.status).toBeUndefined();
  expect(decoded({ httpStatusCode: 404, clientSpan: true })).toMatchObject({
    kind: 3,
    status: { code: 2 },
  });
});

const metrics = [
  { instanceName: "requests", name: "mesh.requests", kind: "COUNTER", labelNames: ["to"] },
  { instanceName: "took", kind: "DISTRIBUTION", unit: "s", description: "How long." },
  { instanceName: "open", kind: "GAUGE", labelNames: [] },
];
const explicit = { explicitBuckets: { bounds: [0.1, 1] } };

function sample(name: string, value: TypedValue, to = "a"): AnyInstance {
  return { template: "metric", name, value, dimensions: { to: text(to) } };
}

test("otlp: metrics add up from when they began, and are sent each time anew", async () => {
  const { url, received } = collector();
  const environment = adapterEnvironment();
  const [requests, took, open] = metrics;
  const parameters = {
    endpoint: url,
    metrics: [requests, { ...took, buckets: explicit }, open],
    pushInterval: "10s",
    // Below, time passes until the next one.
    timeout: "1000h",
  };
  const handler = openRemote(otlp, parameters, environment);
  closing.push(() => handler.close());
  const one = { type: "INT64", value: 1 } as const;
  const seconds = (value: number) => ({ type: "DURATION", value: value * 1e9 }) as const;
  environment.clock.advance(1_000);
  await handler.report!([sample("requests", one), sample("requests", one, "b")]);
  await handler.report!([sample("took", seconds(0.1)), sample("took", seconds(3))]);
  await handler.report!([sample("open", { type: "INT64", value: 7 })]);
  await handler.report!([sample("open", { type: "DOUBLE", value: 5.5 })]);
  environment.clock.advance(10_000);
  await received(1);
  await handler.report!([sample("requests", { type: "INT64", value: 2 })]);
  const posts = await received(1);
  // The next one waits for the answer to the first.
  while (posts.length < 2) {
    environment.clock.advance(10_000);
    await Bun.sleep(1);
  }
  const [first, second] = posts;
  const at = (ms: number) => `${1_767_225_600_000 + ms}000000`;
  const times = { startTimeUnixNano: at(1_000), timeUnixNano: at(11_000) };
  const to = (stringValue: string) => ({ attributes: [{ key: "to", value: { stringValue } }] });
  const resource = { attributes: [{ key: "service.name", value: { stringValue: "mesh" } }] };
  const sum = { aggregationTemporality: 2, isMonotonic: true };
  const histogram = {
    aggregationTemporality: 2,
    dataPoints: [
      { ...times, count: "2", sum: 3.1, bucketCounts: ["1", "0", "1"], explicitBounds: [0.1, 1] },
    ],
  };
  const points = [
    { ...times, asDouble: 1, ...to("a") },
    { ...times, asDouble: 1, ...to("b") },
  ];
  expect(first).toMatchObject({
    path: "/v1/metrics",
    type: "application/x-protobuf",
    body: {
      resourceMetrics: [
        {
          resource,
          scopeMetrics: [
            {
              scope: { name: "mesh" },
              metrics: [
                { name: "mesh.requests", sum: { ...sum, dataPoints: points } },
                { name: "took", unit: "s", description: "How long.", histogram },
                { name: "open", gauge: { dataPoints: [{ ...times, asDouble: 5.5 }] } },
              ],
            },
          ],
        },
      ],
    },
  });
  const later = (second!.body as typeof first & Sums).resourceMetrics[0]!.scopeMetrics[0]!.metrics;
  const { startTimeUnixNano } = times;
  expect(later[0]?.sum.dataPoints).toMatchObject([
    { startTimeUnixNano, asDouble: 3, ...to("a") },
    { startTimeUnixNano, asDouble: 1, ...to("b") },
  ]);
});

interface Sums {
  readonly resourceMetrics: readonly {
    readonly scopeMetrics: readonly {
      readonly metrics: readonly { readonly sum: { readonly dataPoints: readonly object[] } }[];
    }[];
  }[];
}

test("otlp: a series begins once, whatever becomes of the clock on the wall", () => {
  const labels = { labelNames: [], bounds: [] };
  const definition = { name: "m", help: "", unit: "", kind: "COUNTER", ...labels } as const;
  const series = new MetricSeries(definition, new SeriesBudget(1));
  series.record([], 1, 0.25);
  const times = [5_000, 900].map((wallMs) => {
    const [encoded] = encodeMetric(definition, series, { originMs: 1_000, wallMs });
    const { data } = fromBinary(MetricSchema, encoded!);
    const point = data.case === "sum" ? data.value.dataPoints[0] : undefined;
    return [point?.startTimeUnixNano, point?.timeUnixNano];
  });
  expect(times).toEqual([
    [1_000_250_000n, 5_000_000_000n],
    [1_000_250_000n, 1_000_250_000n],
  ]);
});

test("otlp: a series that nobody counts any more ends, and begins anew", async () => {
  const { url, received } = collector();
  const environment = adapterEnvironment();
  const parameters = { endpoint: url, metrics: metrics.slice(0, 1), metricsExpiry: "60s" };
  const handler = openRemote(otlp, parameters, environment);
  await handler.report!([sample("requests", { type: "INT64", value: 5 })]);
  environment.clock.advance(5_000);
  await received(1);
  environment.clock.advance(65_000);
  await handler.report!([sample("requests", { type: "INT64", value: 1 })]);
  handler.close();
  // What was pushed on the way is there or not, as the collector was quick or slow.
  const pointsOf = ({ body }: { body: unknown }) =>
    (body as Sums).resourceMetrics[0]!.scopeMetrics[0]!.metrics[0]!.sum.dataPoints;
  let count = 2;
  while (JSON.stringify(pointsOf((await received(count)).at(-1)!)).includes('"asDouble":5'))
    count++;
  expect(pointsOf((await received(count)).at(-1)!)).toMatchObject([
    { startTimeUnixNano: "1767225670000000000", asDouble: 1 },
  ]);
});

test("otlp: what is no sample of a metric is said", async () => {
  const environment = adapterEnvironment();
  const handler = openRemote(otlp, { endpoint: "http://127.0.0.1:1", metrics }, environment);
  closing.push(() => handler.close());
  const bad: readonly (readonly [AnyInstance, string])[] = [
    [sample("other", { type: "INT64", value: 1 }), "other: no metric is defined for it"],
    [sample("requests", text("x")), "requests: its value is no number"],
    [sample("requests", { type: "INT64", value: -1 }), "requests: a counter cannot go down by -1"],
    [sample("took", { type: "DOUBLE", value: Number.NaN }), "took: cannot add NaN"],
    [
      { template: "metric", name: "requests", value: { type: "INT64", value: 1 } },
      "requests: it has no dimension to",
    ],
  ];
  expect(await handler.report!(bad.map(([instance]) => instance))).toEqual(
    bad.map(([, complaint]) => complaint),
  );
});

test("otlp: above the limit, series count together, and points come in parts", async () => {
  const { url, received } = collector();
  const environment = adapterEnvironment();
  const parameters = { endpoint: url, batchSize: 1, metrics: metrics.slice(0, 1) };
  const handler = openRemote(otlp, parameters, environment);
  const value = { type: "INT64", value: 1 } as const;
  await handler.report!(
    Array.from({ length: 20_003 }, (_, i) => sample("requests", value, `${i}`)),
  );
  handler.close();
  const parts = ((await received(1))[0]!.body as Sums).resourceMetrics[0]!.scopeMetrics[0]!.metrics;
  expect(parts.map(({ sum }) => sum.dataPoints.length)).toEqual([...Array(40).fill(500), 1]);
  expect(parts.at(-1)!.sum.dataPoints).toMatchObject([
    { asDouble: 3, attributes: [{ key: "otel.metric.overflow", value: { boolValue: true } }] },
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
  expect(await received(1)).toMatchObject([
    {
      path: "/api/v2/spans",
      type: "application/json",
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

function lostOf({ registry }: ReturnType<typeof adapterEnvironment>, of = "mesh_otlp_lost_total") {
  const { families, values } = registry.view();
  const lost = families.find(({ name }) => name === of)!.series[0]!;
  return values[lost.slot]!;
}

test("what a collector does not take, and what is too much, is lost and counted", async () => {
  const { url, received } = collector(500);
  const environment = adapterEnvironment();
  const handler = openRemote(otlp, { endpoint: url, batchSize: 2 }, environment);
  closing.push(() => handler.close());
  await handler.report!(new Array(12).fill(span));
  await received(5);
  while (lostOf(environment) < 12) await Bun.sleep(1);
  expect(lostOf(environment)).toBe(12);
});

test("who refuses for good is not asked again; closing waits for no pause", async () => {
  for (const [status, most] of [
    [400, 1],
    [503, 2],
  ] as const) {
    const { url, received } = collector(status);
    const environment = adapterEnvironment();
    const handler = openRemote(otlp, { endpoint: url, batchSize: 1 }, environment);
    await handler.report!([span]);
    const posts = await received(1);
    if (status === 503) handler.close();
    // No time passes.
    while (lostOf(environment) < 1) await Bun.sleep(1);
    expect(posts.length).toBeLessThanOrEqual(most);
    handler.close();
  }
});

test("what a collector takes in part is lost in part, whatever it says of it", async () => {
  const rows: readonly (readonly [answer: Uint8Array<ArrayBuffer> | string, lost: number])[] = [
    ["", 0],
    ["no message", 0],
    [partial(0n), 0],
    [partial(-5n), 0],
    [partial(1n), 1],
    [partial(2n ** 60n), 3],
  ];
  for (const [answer, lost] of rows) {
    const { url, received } = collector(200, answer);
    const environment = adapterEnvironment();
    const handler = openRemote(otlp, { endpoint: url, batchSize: 3 }, environment);
    await handler.report!([span, span, span, span]);
    handler.close();
    await received(2);
    const all = lost === 3 ? 4 : 2 * lost;
    for (let i = 0; i < 1_000 && lostOf(environment) < all; i++) await Bun.sleep(1);
    expect([answer, lostOf(environment)]).toEqual([answer, all]);
  }
});

function partial(rejected: bigint): Uint8Array<ArrayBuffer> {
  const message = create(ExportResponseSchema, { partialSuccess: { rejected } });
  return toBinary(ExportResponseSchema, message);
}

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
  const bad = [
    { kind: "COUNTER" },
    { instanceName: "a", name: "1st" },
    { instanceName: "a", kind: "GAUGE", buckets: { explicitBuckets: { bounds: [2, 1] } } },
    { instanceName: "m", kind: "GAUGE", labelNames: ["from"] },
  ];
  const bound = [
    { name: "m", template: "metric", dimensions: ["to"] },
    { name: "n", template: "metric" },
    { name: "l", template: "logentry" },
  ] as const;
  expect(problemsOf(otlp, { metrics: bad }, bound)).toEqual([
    'metrics[1].name: "1st" is no name of an instrument',
    "metrics[0].instanceName: must be the full name of a metric",
    "metrics[1].kind: must be GAUGE, COUNTER or DISTRIBUTION",
    "metrics[2].instanceName: is defined already",
    "metrics[2].buckets: must have bounds that rise",
    "metrics[3].labelNames: from is no dimension of m",
    "metrics: has no metric for the instance n",
  ]);
  expect(problemsOf(zipkin, { sampleProbability: 1 })).toEqual(["url: must be given"]);
  expect(problemsOf(zipkin, { url: "http://a" })).toEqual([
    "sampleProbability: is 0: no span is sent",
  ]);
});
