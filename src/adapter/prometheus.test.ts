/** Metrics that an operator defined, as a scrape sees them; how many, and for how long. */
import { expect, test } from "bun:test";
import type { TypedValue } from "../attribute/value.ts";
import { sampleText } from "../policy/exposition.ts";
import { adapterEnvironment, openLocal, problemsOf } from "../testing/adapter-environment.ts";
import { exposedName, prometheus, seriesMax } from "./prometheus.ts";

const text = (value: string): TypedValue => ({ type: "STRING", value });
const long = (value: number): TypedValue => ({ type: "INT64", value });

function metric(
  name: string,
  value: TypedValue | undefined,
  dimensions: Record<string, TypedValue>,
) {
  return { template: "metric", name, ...(value && { value }), dimensions } as const;
}

const count = {
  instance_name: "requestcount.metric.istio-system",
  name: "requests_total",
  kind: "COUNTER",
  label_names: ["source", "code"],
};
const latency = {
  instanceName: "latency.metric.istio-system",
  name: "request.duration seconds",
  description: "How long \\ it\ntakes.",
  kind: "DISTRIBUTION",
  buckets: { explicit_buckets: { bounds: [0.01, 1, 1e6] } },
};
const gauge = { instanceName: "/funky::gauge", namespace: "not-istio", kind: "GAUGE" };

test("what was reported is exposed: of all kinds, with labels sorted and escaped", () => {
  const environment = adapterEnvironment();
  const handler = openLocal(prometheus, { metrics: [count, latency, gauge] }, environment);
  const of = (source: string, code: TypedValue) => ({ source: text(source), code });
  const millisecond: TypedValue = { type: "DURATION", value: 1_000_000 };
  expect(
    handler.report!([
      metric(count.instance_name, long(1), of('a "b" \\ c\nd', long(200))),
      metric(count.instance_name, text("2.5"), of("a", text("x"))),
      metric(count.instance_name, long(1), of("a", text("x"))),
      metric(latency.instanceName, millisecond, {}),
      metric(latency.instanceName, { type: "DOUBLE", value: 1 }, {}),
      metric(latency.instanceName, { type: "DOUBLE", value: 1.5e7 }, {}),
      metric(gauge.instanceName, long(8), {}),
      metric(gauge.instanceName, long(-3), {}),
    ]),
  ).toEqual([]);
  expect(environment.exposition.text()).toBe(
    String.raw`# HELP istio_request_duration_seconds How long \\ it\ntakes.
# TYPE istio_request_duration_seconds histogram
istio_request_duration_seconds_bucket{le="0.01"} 1
istio_request_duration_seconds_bucket{le="1"} 2
istio_request_duration_seconds_bucket{le="1e+06"} 2
istio_request_duration_seconds_bucket{le="+Inf"} 3
istio_request_duration_seconds_sum 1.5000001001e+07
istio_request_duration_seconds_count 3
# HELP istio_requests_total requests_total
# TYPE istio_requests_total counter
istio_requests_total{code="200",source="a \"b\" \\ c\nd"} 1
istio_requests_total{code="x",source="a"} 3.5
# HELP notistio__funky::gauge /funky::gauge
# TYPE notistio__funky::gauge gauge
notistio__funky::gauge -3
`,
  );
  handler.close();
  expect(environment.exposition.text()).toBe("");
});

test("what cannot be counted is said, and hurts nothing else", () => {
  const environment = adapterEnvironment();
  const handler = openLocal(prometheus, { metrics: [count] }, environment);
  const labels = { source: text("a"), code: long(200) };
  const name = count.instance_name;
  expect(
    handler.report!([
      metric("other", long(1), {}),
      metric(name, text("many"), labels),
      metric(name, undefined, labels),
      metric(name, long(-1), labels),
      metric(name, { type: "DOUBLE", value: Number.NaN }, labels),
      metric(name, long(1), { source: text("a") }),
      metric(name, long(1), { ...labels, more: long(1) }),
    ]),
  ).toEqual([
    "no metric is defined for other",
    `${name}: its value is no number`,
    `${name}: its value is no number`,
    `${name}: a counter cannot go down by -1`,
    `${name}: a counter cannot go down by NaN`,
    `${name}: it has no dimension code`,
  ]);
  expect(environment.exposition.text()).toEndWith('{code="200",source="a"} 1\n');
});

const perUser = { ...count, label_names: ["user"] };
const user = (name: string) => metric(count.instance_name, long(1), { user: text(name) });

test("series that nothing was counted in for a while are gone, an hour unless told", () => {
  const environment = adapterEnvironment();
  const handler = openLocal(prometheus, { metrics: [perUser] }, environment);
  const users = () => environment.exposition.text().match(/user="\w+"/g) ?? [];
  handler.report!([user("a"), user("b")]);
  environment.clock.advance(1_800_000);
  handler.report!([user("b")]);
  environment.clock.advance(1_800_000);
  expect(users()).toEqual(['user="b"']);
  environment.clock.advance(1_800_000);
  expect(environment.exposition.text()).toBe("");
  handler.report!([user("b")]);
  expect(environment.exposition.text()).toEndWith('{user="b"} 1\n');
});

test("above the cap new series count together, and make room when others expire", () => {
  const environment = adapterEnvironment();
  const metricsExpirationPolicy = { metricsExpiryDuration: "1m" };
  const handler = openLocal(
    prometheus,
    { metrics: [perUser], metricsExpirationPolicy },
    environment,
  );
  for (let i = 0; i < seriesMax + 3; i++) handler.report!([user(`u${i}`)]);
  const lines = environment.exposition.text().split("\n");
  expect(lines).toHaveLength(2 + seriesMax + 1 + 1);
  expect(lines).toContain('istio_requests_total{overflow="true"} 3');
  const { families, values } = environment.registry.view();
  const overflow = families.find(({ name }) => name.includes("overflow"))!.series[0]!;
  expect(values[overflow.slot]).toBe(3);
  environment.clock.advance(60_000);
  environment.exposition.text();
  handler.report!([user("new")]);
  expect(environment.exposition.text()).toEndWith('\nistio_requests_total{user="new"} 1\n');
  for (let i = 0; i < seriesMax + 4; i++) handler.report!([user(`v${i}`)]);
  expect(environment.exposition.text()).toContain('istio_requests_total{overflow="true"} 5\n');
});

test("two handlers with one metric make one family, and no series twice", () => {
  const environment = adapterEnvironment();
  for (const name of ["a", "b"]) {
    const handler = openLocal(prometheus, { metrics: [perUser] }, environment);
    handler.report!([user(name), user("both")]);
  }
  expect(environment.exposition.text().split("\n").slice(1, -1)).toEqual([
    "# TYPE istio_requests_total counter",
    'istio_requests_total{user="a"} 1',
    'istio_requests_total{user="b"} 1',
    'istio_requests_total{user="both"} 1',
  ]);
});

test.each<[buckets: object | undefined, bounds: string[]]>([
  [{ linearBuckets: { numFiniteBuckets: 2, width: 1, offset: 4 } }, ["4", "5", "6"]],
  [
    { exponentialBuckets: { numFiniteBuckets: 3, growthFactor: 3, scale: 4 } },
    ["4", "12", "36", "108"],
  ],
  [{ explicitBuckets: { bounds: [6, 7] } }, ["6", "7"]],
  [undefined, ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10"]],
])("the buckets %j end at %j", (buckets, bounds) => {
  const environment = adapterEnvironment();
  const one = { instanceName: "d", kind: "DISTRIBUTION", ...(buckets && { buckets }) };
  openLocal(prometheus, { metrics: [one] }, environment).report!([metric("d", long(6), {})]);
  const found = environment.exposition.text().matchAll(/le="(.*?)"} (\d)/g);
  const wanted = [...bounds, "+Inf"].map((le) => [
    le,
    Number(le) >= 6 || le === "+Inf" ? "1" : "0",
  ]);
  expect([...found].map(([, le, n]) => [le!, n!])).toEqual(wanted);
});

test.each([
  [0, "0"],
  [1e6, "1e+06"],
  [999_999, "999999"],
  [1_234_567, "1.234567e+06"],
  [0.0001, "0.0001"],
  [0.00001, "1e-05"],
  [-1.5e21, "-1.5e+21"],
  [Number.POSITIVE_INFINITY, "+Inf"],
  [Number.NaN, "NaN"],
])("the number %p is exposed as %p", (value, written) => {
  expect(sampleText(value)).toBe(written);
});

test("names are made fit", () => {
  expect(exposedName("a/b.c d-e")).toBe("a_b_c_de");
});

test.each<[what: object, problems: string[]]>([
  [{ kind: "GAUGE" }, ["metrics[0].instanceName: must be the full name of a metric"]],
  [{ instanceName: "m" }, ["metrics[0].kind: must be GAUGE, COUNTER or DISTRIBUTION"]],
  [
    { instanceName: "m", kind: "COUNTER", name: "täglich" },
    ["metrics[0].name: gives istio_täglich, which is no name"],
  ],
  [
    { instanceName: "m", kind: "COUNTER", labelNames: ["a-b", "le", "x", "x"] },
    [
      "metrics[0].labelNames: a-b cannot be the name of a label",
      "metrics[0].labelNames: le cannot be the name of a label",
      "metrics[0].labelNames: has a name twice",
    ],
  ],
  [
    { instanceName: "m", kind: "DISTRIBUTION", buckets: { explicitBuckets: { bounds: [2, 1] } } },
    ["metrics[0].buckets: must have bounds that rise"],
  ],
  [
    {
      instanceName: "m",
      kind: "DISTRIBUTION",
      buckets: { linearBuckets: { numFiniteBuckets: 501, width: 1 } },
    },
    ["metrics[0].buckets.linearBuckets.numFiniteBuckets: must be between 1 and 500, not 501"],
  ],
  [
    { instanceName: "m", kind: "COUNTER", label_name: ["a"] },
    ["metrics[0].label_name: unknown field (did you mean label_names?)"],
  ],
])("a metric %j", (what, problems) => {
  expect(problemsOf(prometheus, { metrics: [what] })).toEqual(problems);
});

test("instances and metrics have to fit each other", () => {
  const bound = [
    { name: "other", template: "metric" },
    { name: count.instance_name, template: "metric", dimensions: ["source", "user"] },
  ] as const;
  expect(problemsOf(prometheus, { metrics: [count] }, bound)).toEqual([
    "metrics: has no metric for the instance other",
    `metrics: label code is no dimension of ${count.instance_name}`,
    `metrics: dimension user of ${count.instance_name} is not among the labels`,
  ]);
});
