/**
 * What policy costs an exchange: ten rules that match, asked before and told after, with real
 * adapters; and rules that cannot match, as many as a large mesh has. Nanoseconds of processor time
 * for each exchange, least and median of interleaved rounds.
 */
import { list } from "../adapter/list.ts";
import { memoryQuota } from "../adapter/memory-quota.ts";
import { prometheus } from "../adapter/prometheus.ts";
import { stdio } from "../adapter/stdio.ts";
import type { MutableBag } from "../attribute/bag.ts";
import { systemClock } from "../core/clock.ts";
import { Log } from "../core/log.ts";
import { systemRandom } from "../core/random.ts";
import { Exposition } from "../policy/exposition.ts";
import { PolicyRuntime } from "../policy/runtime.ts";
import type { PolicyScope } from "../policy/verdict.ts";
import { Metrics } from "../telemetry/metrics.ts";
import {
  configured,
  type HandlerText,
  PolicyFixture,
  type RuleText,
} from "../testing/policy-fixture.ts";

const fixture = new PolicyFixture({
  "context.reporter.kind": "STRING",
  "destination.service.host": "STRING",
  "destination.namespace": "STRING",
  "request.path": "STRING",
  "request.method": "STRING",
  "request.headers": "STRING_MAP",
  "request.size": "INT64",
  "response.code": "INT64",
  "response.duration": "DURATION",
  "source.user": "STRING",
});

const dimensions = {
  source: "source.user",
  service: "destination.service.host",
  code: "response.code",
};

const handler = (name: string, of: HandlerText["configured"]): HandlerText => ({
  name,
  configured: of,
});

function listRule(i: number): RuleText {
  const users = Array.from({ length: 100 }, (_, n) => `user-${n}`);
  const whitelist = handler("list", configured(list, { overrides: users }));
  const fields = { value: "source.user" };
  return {
    name: `list-${i}`,
    actions: [
      { handler: whitelist, instances: [{ name: `user-${i}`, template: "listentry", fields }] },
    ],
  };
}

function quotaRule(i: number): RuleText {
  const name = `limit-${i}.instance.istio-system`;
  const quotas = [{ name, maxAmount: 1_000_000_000, validDuration: "1s" }];
  const fields = { dimensions: { user: "source.user" } };
  return {
    name: `quota-${i}`,
    actions: [
      {
        handler: handler(`limit-${i}`, configured(memoryQuota, { quotas })),
        instances: [{ name: `limit-${i}`, template: "quota", fields }],
        charge: 1,
      },
    ],
  };
}

function headerRule(i: number): RuleText {
  return {
    name: `header-${i}`,
    match: 'request.headers["x-user"] == "jason"',
    requestHeaders: [{ name: `x-tier-${i}`, values: ['"gold"'] }],
  };
}

function metricRule(i: number): RuleText {
  const metrics = [
    {
      instanceName: `requests-${i}.instance.istio-system`,
      name: `requests_${i}`,
      kind: "COUNTER",
      labelNames: Object.keys(dimensions),
    },
  ];
  const fields = { value: "1", dimensions };
  return {
    name: `metric-${i}`,
    match: 'context.reporter.kind == "inbound"',
    actions: [
      {
        handler: handler(`prom-${i}`, configured(prometheus, { metrics })),
        instances: [{ name: `requests-${i}`, template: "metric", fields }],
      },
    ],
  };
}

function logRule(i: number): RuleText {
  const file = { logStream: "FILE", outputPath: "/dev/null" };
  const fields = { severity: '"info"', variables: { ...dimensions, path: "request.path" } };
  return {
    name: `log-${i}`,
    actions: [
      {
        handler: handler("log", configured(stdio, file)),
        instances: [{ name: `access-${i}`, template: "logentry", fields }],
      },
    ],
  };
}

function unmatched(count: number): RuleText[] {
  const allowed = handler("list", configured(list, { overrides: ["ann"] }));
  const fields = { value: "source.user" };
  return Array.from({ length: count }, (_, i) => ({
    name: `rule-${i}`,
    match: `context.reporter.kind == "inbound" && destination.service.host == "service-${i}.shop"`,
    actions: [{ handler: allowed, instances: [{ name: "user", template: "listentry", fields }] }],
  }));
}

function exchange(): MutableBag {
  return fixture.bag({
    "context.reporter.kind": "inbound",
    "destination.service.host": "reviews.default.svc.cluster.local",
    "destination.namespace": "default",
    "request.path": "/api/v1/products/0/reviews",
    "request.method": "GET",
    "request.headers": new Map([["x-user", "jason"]]),
    "request.size": 0,
    "response.code": 200,
    "response.duration": 1_500_000,
    "source.user": "user-42",
  });
}

function scopeOf(rules: readonly RuleText[]): { runtime: PolicyRuntime; scope: PolicyScope } {
  const runtime = new PolicyRuntime({
    clock: systemClock,
    log: new Log("bench"),
    metrics: new Metrics({ seriesMax: 1_000 }),
    exposition: new Exposition(),
    random: systemRandom,
  });
  runtime.publish(fixture.policy(rules));
  return { runtime, scope: runtime.current.scopeOf("default") };
}

const one = [listRule(0), quotaRule(0), headerRule(0), metricRule(0), logRule(0)];
const ten = [...one, listRule(1), quotaRule(1), headerRule(1), metricRule(1), logRule(1)];
const fresh = (i: number): string => `reviews-${i & 255}.default.svc.cluster.local`;

interface Variant {
  readonly name: string;
  readonly rules: readonly RuleText[];
  readonly told: boolean;
  /** Nanoseconds. */
  readonly bar?: number;
}

const variants: readonly Variant[] = [
  { name: "no rules: check", rules: [], told: false },
  { name: "1,000 rules that cannot match: check", rules: unmatched(1_000), told: false, bar: 500 },
  { name: "10,000 rules that cannot match", rules: unmatched(10_000), told: false, bar: 500 },
  { name: "2 lists: check", rules: [listRule(0), listRule(1)], told: false },
  { name: "2 quotas: check", rules: [quotaRule(0), quotaRule(1)], told: false },
  { name: "2 header rules: check", rules: [headerRule(0), headerRule(1)], told: false },
  { name: "2 metrics: report", rules: [metricRule(0), metricRule(1)], told: true },
  { name: "2 logs: report", rules: [logRule(0), logRule(1)], told: true },
  { name: "ten rules: check and report", rules: ten, told: true, bar: 3_000 },
];

const ROUNDS = 15;
const EXCHANGES = 20_000;

/** False: a bar was missed. */
export async function benchPolicyEngine(): Promise<boolean> {
  const running = variants.map((variant) => ({
    variant,
    ...scopeOf(variant.rules),
    samples: [] as number[],
  }));
  const bag = exchange();
  const { slot } = fixture.vocabulary.find("destination.service.host")!;
  for (let round = 0; round <= ROUNDS; round++)
    for (const { variant, scope, samples } of running) {
      const ns = nanosecondsEach(() => run(scope, { bag, slot, told: variant.told }));
      // Logs are written in between.
      await Bun.sleep(1);
      if (round > 0) samples.push(ns);
    }
  let isMet = true;
  console.log("policy: the engine, one exchange, ns of processor time");
  for (const { variant, samples } of running) {
    const sorted = samples.toSorted((a, b) => a - b);
    const [least = 0, median = 0] = [sorted[0], sorted[sorted.length >> 1]];
    const { name, bar } = variant;
    const isMissed = bar !== undefined && median > bar;
    if (isMissed) isMet = false;
    const judged = bar === undefined ? "" : ` (bar ${bar}${isMissed ? ": MISSED" : ""})`;
    const figures = `${least.toFixed(0).padStart(7)} least ${median.toFixed(0).padStart(7)} median`;
    console.log(`  ${name.padEnd(40)}${figures}${judged}`);
  }
  for (const { runtime } of running) runtime.close();
  return isMet;
}

interface Load {
  readonly bag: MutableBag;
  readonly slot: number;
  readonly told: boolean;
}

function run(scope: PolicyScope, { bag, slot, told }: Load): void {
  const nowMs = Date.now();
  for (let i = 0; i < EXCHANGES; i++) {
    // A text as a head gives it: never the object that a rule was compiled with.
    bag.setSlot(slot, fresh(i));
    const { code } = scope.check(bag, nowMs);
    if (code !== 0) throw new Error("the exchange passes");
    if (told) scope.report(bag);
  }
}

function nanosecondsEach(work: () => void): number {
  const start = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(start);
  return ((user + system) * 1_000) / EXCHANGES;
}
