/** What handlers are told of an exchange, how often, and that nothing stands in its way. */
import { expect, test } from "bun:test";
import { prometheus } from "../adapter/prometheus.ts";
import type { Value } from "../attribute/value.ts";
import {
  answering,
  answeringRemotely,
  configured,
  type HandlerText,
  type InstanceText,
  PolicyFixture,
  type RuleText,
} from "../testing/policy-fixture.ts";
import { policyRuntime } from "../testing/policy-runtime.ts";
import type { ResolvedSampling } from "./resolved-policy.ts";
import type { ReportResult } from "./result.ts";
import type { AnyInstance } from "./template.ts";

const fixture = new PolicyFixture({
  "response.code": "INT64",
  "request.headers": "STRING_MAP",
  "request.path": "STRING",
});

const entry: InstanceText = {
  name: "entry",
  template: "logentry",
  fields: { variables: { code: "response.code" } },
};
const count: InstanceText = { name: "count", template: "metric", fields: { value: "1" } };
const nothing: InstanceText = { name: "nothing", template: "reportnothing" };

interface Recorded {
  readonly handler: HandlerText;
  /** Names of the instances of each call. */
  readonly calls: string[][];
}

const namesOf = (instances: readonly AnyInstance[]): string[] =>
  instances.map(({ name }) => name.split(".")[0]!);

function told(name: string, result: ReportResult = []): Recorded {
  const calls: string[][] = [];
  const report = (instances: readonly AnyInstance[]): ReportResult => {
    calls.push(namesOf(instances));
    return result;
  };
  return { handler: { name, configured: answering({ report }) }, calls };
}

function toldRemotely(name: string, result: ReportResult = []): Recorded {
  const calls: string[][] = [];
  const report = async (instances: readonly AnyInstance[]): Promise<ReportResult> => {
    calls.push(namesOf(instances));
    return result;
  };
  return { handler: { name, configured: answeringRemotely({ report }) }, calls };
}

const telling = (handler: HandlerText, ...instances: InstanceText[]): RuleText => ({
  name: "tell",
  actions: [{ handler, instances }],
});

const now = { nowMs: 0, onlyRemote: false };

test("a rule that matches tells its handlers, template by template", () => {
  const { runtime } = policyRuntime();
  const { handler, calls } = told("h");
  const rules = [
    telling(handler, entry, count, entry),
    { ...telling(handler, nothing), name: "z", match: "response.code == 500" },
  ];
  runtime.publish(fixture.policy(rules));
  const scope = runtime.current.scopeOf("");
  expect(scope.report(fixture.bag({ "response.code": 200 }))).toBe(false);
  expect(calls).toEqual([["entry", "entry"], ["count"]]);
  expect(runtime.statistics.of("tell.rule.istio-system")).toMatchObject({
    reported: 1,
    matched: 0,
  });
});

test("what cannot be made is left out and counted, and the rest is told", () => {
  const { runtime } = policyRuntime();
  const { handler, calls } = told("h", ["full"]);
  runtime.publish(
    fixture.policy([
      telling(handler, entry, count),
      { ...telling(handler, nothing), name: "z", match: "response.code == 500" },
    ]),
  );
  runtime.current.scopeOf("").report(fixture.bag({}));
  expect(calls).toEqual([["count"]]);
  expect(runtime.statistics.of("tell.rule.istio-system")).toMatchObject({
    failed: { match: 0, instance: 1, handler: 1, late: 0 },
    lastFault: "full",
  });
  expect(runtime.statistics.of("z.rule.istio-system")).toMatchObject({
    reported: 0,
    denied: 0,
    failed: { match: 1 },
  });
});

test("of many exchanges each handler is told once for each template", async () => {
  const { runtime } = policyRuntime();
  const { handler, calls } = told("h");
  const other = told("g");
  const rules = [
    telling(handler, entry, count),
    { ...telling(handler, count), name: "then" },
    { ...telling(other.handler, nothing), name: "z", match: "response.code == 500" },
  ];
  runtime.publish(fixture.policy(rules));
  const bags = [200, 500, 200].map((code) => fixture.bag({ "response.code": code }));
  expect(await runtime.current.scopeOf("").reportAll(bags, now)).toEqual([]);
  expect(calls).toEqual([
    ["entry", "entry", "entry"],
    ["count", "count", "count", "count", "count", "count"],
  ]);
  expect(other.calls).toEqual([["nothing"]]);
});

test("what goes wrong with one is said, and the others are told", async () => {
  const { runtime } = policyRuntime();
  const [fine, full] = [told("fine"), told("full", ["no room", "nor there"])];
  const rejected: HandlerText = {
    name: "rejected",
    configured: answeringRemotely({ report: () => Promise.reject(new Error("boom")) }),
  };
  runtime.publish(
    fixture.policy([
      telling(fine.handler, entry),
      { ...telling(full.handler, count), name: "u" },
      { ...telling(rejected, count), name: "v" },
    ]),
  );
  const bags = [fixture.bag({}), fixture.bag({ "response.code": 200 })];
  expect((await runtime.current.scopeOf("").reportAll(bags, now)).toSorted()).toEqual([
    "entry.instance.istio-system:lookup failed: 'response.code'",
    "full.handler.istio-system:no room",
    "full.handler.istio-system:nor there",
    "rejected.handler.istio-system:boom",
  ]);
  expect(fine.calls).toEqual([["entry"]]);
  expect(runtime.statistics.of("v.rule.istio-system")?.failed.handler).toBe(1);
});

test("what only the mixer can tell is left to it, and told there alone", async () => {
  const { runtime } = policyRuntime();
  const [near, far] = [told("near"), toldRemotely("far")];
  runtime.publish(
    fixture.policy([
      telling(near.handler, count),
      { ...telling(far.handler, count), name: "z", match: "response.code == 500" },
    ]),
  );
  const scope = runtime.current.scopeOf("");
  expect(scope.reportsToMixer).toBe(true);
  const failed = fixture.bag({ "response.code": 500 });
  expect(scope.report(fixture.bag({ "response.code": 200 }))).toBe(false);
  expect(scope.report(failed)).toBe(true);
  expect([near.calls, far.calls]).toEqual([[["count"], ["count"]], []]);
  await scope.reportAll([failed], { nowMs: 0, onlyRemote: true });
  expect([near.calls.length, far.calls]).toEqual([2, [["count"]]]);
});

test("a report that is late is given up", async () => {
  const { runtime, clock } = policyRuntime();
  const handler: HandlerText = {
    name: "slow",
    configured: answeringRemotely({ report: () => new Promise<ReportResult>(() => {}) }),
  };
  runtime.publish(fixture.policy([telling(handler, count)]));
  const told = runtime.current.scopeOf("").reportAll([fixture.bag({})], now);
  await Promise.resolve();
  await Promise.resolve();
  await Promise.resolve();
  clock.advance(1_000);
  expect(await told).toEqual(["slow.handler.istio-system:no answer within 1000 ms"]);
  expect(runtime.statistics.of("tell.rule.istio-system")?.failed.late).toBe(1);
});

function sampled(
  sampling: ResolvedSampling,
  facts: (i: number) => Readonly<Record<string, Value>>,
  each = (_: ReturnType<typeof policyRuntime>): void => {},
): number[] {
  const test = policyRuntime();
  const { handler, calls } = told("h");
  test.runtime.publish(fixture.policy([{ ...telling(handler, count), sampling }]));
  const scope = test.runtime.current.scopeOf("");
  const taken: number[] = [];
  for (let i = 0; i < 1_000; i++) {
    const before = calls.length;
    scope.report(fixture.bag(facts(i)));
    if (calls.length > before) taken.push(i);
    each(test);
  }
  expect(test.runtime.statistics.of("tell.rule.istio-system")?.reported).toBe(taken.length);
  return taken;
}

const share = (part: number, independent: boolean): ResolvedSampling => ({
  by: "random",
  attribute: undefined,
  share: part,
  denominator: 100,
  independent,
});
const withId = (i: number) => ({ "request.headers": new Map([["x-request-id", `id-${i}`]]) });

test.each([true, false])("a share of exchanges is reported (independent: %p)", (independent) => {
  for (const part of [0, 0.1, 0.5, 1]) {
    const { length } = sampled(share(part, independent), withId);
    expect(Math.abs(length - 1_000 * part)).toBeLessThan(45);
    if (part === 0 || part === 1) expect(length).toBe(1_000 * part);
  }
});

test("rules agree on a request by its id, and not where they are independent", () => {
  expect(sampled(share(0.3, false), withId)).toEqual(sampled(share(0.3, false), withId));
  const less = new Set(sampled(share(0.5, false), withId));
  expect(sampled(share(0.3, false), withId).every((i) => less.has(i))).toBe(true);
  const same = sampled(share(0.3, false), () => withId(1)).length;
  expect([0, 1_000]).toContain(same);
  const byChance = sampled(share(0.3, true), () => withId(1)).length;
  expect(byChance).toBeGreaterThan(200);
  expect(byChance).toBeLessThan(400);
});

test("without an id it is chance", () => {
  const { length } = sampled(share(0.3, false), () => ({}));
  expect(Math.abs(length - 300)).toBeLessThan(45);
});

test.each<[code: number | undefined, taken: number]>([
  [100, 1_000],
  [0, 0],
  [undefined, 0],
])("a share may be an attribute: %p parts of 100 are %i of 1,000", (code, taken) => {
  const attribute = fixture.expression("response.code");
  const sampling: ResolvedSampling = {
    by: "random",
    attribute,
    share: 0.5,
    denominator: 100,
    independent: true,
  };
  const facts = code === undefined ? {} : { "response.code": code };
  expect(sampled(sampling, () => facts)).toHaveLength(taken);
});

test("a text that is no number is no share", () => {
  const attribute = fixture.expression("request.path");
  const of = (path: string): number =>
    sampled({ by: "random", attribute, share: 1, denominator: 100, independent: true }, () => ({
      "request.path": path,
    })).length;
  expect([of("/"), of(""), of("0x64"), of("100")]).toEqual([0, 0, 0, 1_000]);
});

test("both have to take it: of those that chance takes the first 100", () => {
  const random = share(0.5, false) as Extract<ResolvedSampling, { by: "random" }>;
  const rate = { by: "rate", windowMs: 100, unsampledMax: 100, rate: 0 } as const;
  const byChance = sampled(random, withId);
  expect(sampled({ by: "both", random, rate }, withId)).toEqual(byChance.slice(0, 100));
});

test("by rate: the first 3 of each 100 ms, and of the others each 10th", () => {
  const sampling: ResolvedSampling = { by: "rate", windowMs: 100, unsampledMax: 3, rate: 10 };
  const taken = sampled(
    sampling,
    () => ({}),
    ({ clock }) => clock.advance(1),
  );
  expect(taken.filter((i) => i < 200)).toEqual([
    0, 1, 2, 12, 22, 32, 42, 52, 62, 72, 82, 92, 100, 101, 102, 112, 122, 132, 142, 152, 162, 172,
    182, 192,
  ]);
});

test("what rules count is there for a scrape", () => {
  const { runtime, exposition } = policyRuntime();
  const metrics = [
    {
      instanceName: "count.instance.istio-system",
      name: "requests",
      kind: "COUNTER",
      labelNames: ["path"],
    },
  ];
  const counting: InstanceText = {
    ...count,
    fields: { value: "1", dimensions: { path: "request.path" } },
  };
  const handler = { name: "h", configured: configured(prometheus, { metrics }) };
  runtime.publish(fixture.policy([telling(handler, counting)]));
  for (const path of ["/a", "/b", "/a"])
    runtime.current.scopeOf("").report(fixture.bag({ "request.path": path }));
  expect(exposition.text()).toContain('istio_requests{path="/a"} 2\nistio_requests{path="/b"} 1\n');
});
