/**
 * What policy costs an exchange: ten rules, asked before and told after, with real adapters, as an
 * operator writes them; and rules that cannot match, as many as a large mesh has.
 * Nanoseconds of processor time for each exchange, least and median of interleaved rounds; what
 * handlers write later is among it.
 */
import { adapters } from "../adapter/inventory.ts";
import { MutableBag } from "../attribute/bag.ts";
import { systemClock } from "../core/clock.ts";
import { Log } from "../core/log.ts";
import { formatProblem, isError } from "../core/problem.ts";
import { systemRandom } from "../core/random.ts";
import { policySetOf } from "../dialect/policy/policy-set.ts";
import { readDocuments } from "../dialect/read.ts";
import { policyRootNamespace } from "../model/policy-set.ts";
import { Exposition } from "../policy/exposition.ts";
import { resolvePolicy } from "../policy/resolve.ts";
import type { ResolvedPolicy } from "../policy/resolved-policy.ts";
import { PolicyRuntime } from "../policy/runtime.ts";
import { templates } from "../policy/template.ts";
import type { PolicyScope } from "../policy/verdict.ts";
import { Metrics } from "../telemetry/metrics.ts";

const apiVersion = "config.istio.io/v1alpha2";

function ruleOf(name: string, spec: object): object {
  return { apiVersion, kind: "rule", metadata: { name, namespace: "istio-system" }, spec };
}

function ask(adapter: string, params: object, template: string, fields: object): object {
  const handler = { compiledAdapter: adapter, params };
  return { handler, instances: [{ compiledTemplate: template, params: fields }] };
}

function listRule(i: number): object {
  const overrides = Array.from({ length: 100 }, (_, n) => `cluster.local/ns/shop/sa/user-${n}`);
  const value = "source.principal";
  const actions = [ask("listchecker", { overrides }, "listentry", { value })];
  return ruleOf(`list-${i}`, { actions });
}

function quotaRule(i: number): object {
  const name = `quota-${i}[0][0].instance.istio-system`;
  const quotas = [{ name, maxAmount: 1_000_000_000, validDuration: "1s" }];
  const dimensions = { source: "source.principal", service: "destination.service.host" };
  const action = ask("memquota", { quotas }, "quota", { dimensions });
  return ruleOf(`quota-${i}`, { actions: [{ ...action, charge: 1 }] });
}

function headerRule(i: number): object {
  return ruleOf(`header-${i}`, {
    match: 'request.headers["x-user"] == "jason"',
    requestHeaderOperations: [{ name: `x-tier-${i}`, values: ['"gold"'] }],
  });
}

const dimensions = {
  source: "source.principal",
  service: "destination.service.host",
  code: "response.code",
};

function metricRule(i: number): object {
  const metric = {
    instanceName: `metric-${i}[0][0].instance.istio-system`,
    name: `requests_${i}`,
    kind: "COUNTER",
    labelNames: Object.keys(dimensions),
  };
  const fields = { value: "1", dimensions };
  const actions = [ask("prometheus", { metrics: [metric] }, "metric", fields)];
  return ruleOf(`metric-${i}`, { match: 'context.reporter.kind == "inbound"', actions });
}

function logRule(i: number): object {
  const fields = {
    severity: '"info"',
    timestamp: "request.time",
    variables: { ...dimensions, path: "request.path", latency: "response.duration" },
  };
  const file = { logStream: "FILE", outputPath: "/dev/null" };
  return ruleOf(`log-${i}`, { actions: [ask("stdio", file, "logentry", fields)] });
}

function unmatched(count: number): object[] {
  const action = ask("denier", {}, "checknothing", {});
  return Array.from({ length: count }, (_, i) =>
    ruleOf(`rule-${i}`, {
      match: `context.reporter.kind == "inbound" && destination.service.host == "service-${i}"`,
      actions: [action],
    }),
  );
}

function policyOf(rules: readonly object[]): ResolvedPolicy {
  const text = rules.map((rule) => JSON.stringify(rule)).join("\n---\n");
  const { configs, problems } = readDocuments(text, { file: "bench", namespace: "default" });
  const inventory = { adapters, templates };
  const rootNamespace = policyRootNamespace;
  const resolved = resolvePolicy(policySetOf(configs), inventory, { rootNamespace });
  const errors = [...problems, ...resolved.problems].filter(isError);
  if (errors.length > 0) throw new Error(errors.map(formatProblem).join("\n"));
  return resolved.policy;
}

const host = (i: number): string => `reviews-${i & 255}.default.svc.cluster.local`;

function exchange({ vocabulary }: ResolvedPolicy): MutableBag {
  const bag = new MutableBag(vocabulary);
  bag.setTyped("context.reporter.kind", { type: "STRING", value: "inbound" });
  bag.setTyped("request.path", { type: "STRING", value: "/api/v1/products/0/reviews" });
  const headers = new Map([["x-user", "jason"]]);
  bag.setTyped("request.headers", { type: "STRING_MAP", value: headers });
  bag.setTyped("request.time", { type: "TIMESTAMP", value: { seconds: 1.7e9, nanos: 250_000 } });
  bag.setTyped("response.code", { type: "INT64", value: 200 });
  bag.setTyped("response.duration", { type: "DURATION", value: 1_500_000 });
  const principal = "cluster.local/ns/shop/sa/user-42";
  bag.setTyped("source.principal", { type: "STRING", value: principal });
  return bag;
}

interface Variant {
  readonly name: string;
  readonly rules: readonly object[];
  readonly isTold: boolean;
  /** Nanoseconds. */
  readonly bar?: number;
}

const five = (i: number) => [listRule(i), quotaRule(i), headerRule(i), metricRule(i), logRule(i)];
const ten = [...five(0), ...five(1)];

/** The same rule, for another service. */
function elsewhere(rule: object): object {
  const { spec, ...rest } = rule as { readonly spec: { readonly match?: string } };
  const other = 'destination.service.host == "ratings.default.svc.cluster.local"';
  const match = spec.match === undefined ? other : `${other} && ${spec.match}`;
  return { ...rest, spec: { ...spec, match } };
}

const half = [...five(0), ...five(1).map(elsewhere)];

const variants: readonly Variant[] = [
  { name: "no rules", rules: [], isTold: true },
  { name: "1,000 rules that cannot match", rules: unmatched(1_000), isTold: false, bar: 500 },
  { name: "10,000 rules that cannot match", rules: unmatched(10_000), isTold: false, bar: 500 },
  { name: "2 lists", rules: [listRule(0), listRule(1)], isTold: false },
  { name: "2 quotas", rules: [quotaRule(0), quotaRule(1)], isTold: false },
  { name: "2 header operations", rules: [headerRule(0), headerRule(1)], isTold: false },
  { name: "2 metrics", rules: [metricRule(0), metricRule(1)], isTold: true },
  { name: "2 logs", rules: [logRule(0), logRule(1)], isTold: true },
  { name: "ten rules, one of each matches", rules: half, isTold: true, bar: 3_000 },
  { name: "ten rules, all match", rules: ten, isTold: true },
];

const ROUNDS = 9;
/** Of the event loop, and exchanges in each. */
const TURNS = 200;
const EXCHANGES = 500;

class Running {
  readonly variant: Variant;
  readonly samples: number[] = [];
  readonly #runtime: PolicyRuntime;
  readonly #scope: PolicyScope;
  readonly #bag: MutableBag;
  readonly #host: number;

  constructor(variant: Variant) {
    this.variant = variant;
    this.#runtime = new PolicyRuntime({
      clock: systemClock,
      log: new Log("bench"),
      metrics: new Metrics({ seriesMax: 1_000 }),
      exposition: new Exposition(),
      random: systemRandom,
    });
    const policy = policyOf(variant.rules);
    this.#runtime.publish(policy);
    this.#scope = this.#runtime.current.scopeOf("default");
    this.#bag = exchange(policy);
    this.#host = policy.vocabulary.find("destination.service.host")!.slot;
  }

  /** Nanoseconds for each exchange. */
  async sample(): Promise<number> {
    const start = process.cpuUsage();
    for (let turn = 0; turn < TURNS; turn++) {
      this.#turn();
      // What was written waits for the event loop.
      await new Promise(setImmediate);
    }
    const { user, system } = process.cpuUsage(start);
    return ((user + system) * 1_000) / (TURNS * EXCHANGES);
  }

  #turn(): void {
    const { isTold } = this.variant;
    const nowMs = Date.now();
    for (let i = 0; i < EXCHANGES; i++) {
      // A text as a head gives it: never the object that a rule was compiled with.
      this.#bag.setSlot(this.#host, host(i));
      const { code } = this.#scope.check(this.#bag, nowMs);
      if (code !== 0) throw new Error("the exchange passes");
      if (isTold) this.#scope.report(this.#bag);
    }
  }

  close(): void {
    this.#runtime.close();
  }
}

/** False: a bar was missed. */
export async function benchPolicyEngine(): Promise<boolean> {
  const running = variants.map((variant) => new Running(variant));
  for (let round = 0; round <= ROUNDS; round++)
    for (const one of running) {
      const ns = await one.sample();
      if (round > 0) one.samples.push(ns);
    }
  let isMet = true;
  console.log("policy: check and report in the engine, ns of processor time an exchange");
  for (const { variant, samples } of running) {
    const sorted = samples.toSorted((a, b) => a - b);
    const [least = 0, median = 0] = [sorted[0], sorted[sorted.length >> 1]];
    const { name, bar } = variant;
    const isMissed = bar !== undefined && median > bar;
    if (isMissed) isMet = false;
    const judged = bar === undefined ? "" : ` (bar ${bar}${isMissed ? ": MISSED" : ""})`;
    const figures = `${least.toFixed(0).padStart(7)} least ${median.toFixed(0).padStart(7)} median`;
    console.log(`  ${name.padEnd(34)}${figures}${judged}`);
  }
  for (const one of running) one.close();
  return isMet;
}
