/** How much a request gets of a quota, by which rule, and what happens where none can tell. */
import { expect, test } from "bun:test";
import { memoryQuota } from "../adapter/memory-quota.ts";
import {
  answering,
  answeringRemotely,
  configured,
  type HandlerText,
  type InstanceText,
  PolicyFixture,
  type RuleText,
} from "../testing/policy-fixture.ts";
import { policyRuntime, type TestRuntime } from "../testing/policy-runtime.ts";
import type { QuotaRequest, QuotaResult } from "./result.ts";
import type { QuotaAnswer, QuotaQuestion } from "./verdict.ts";

const fixture = new PolicyFixture({ "source.user": "STRING", "request.path": "STRING" });

const quota = (name: string, fields: Readonly<Record<string, string>> = {}): InstanceText => ({
  name,
  template: "quota",
  fields: { dimensions: fields },
});

interface Recorded {
  readonly handler: HandlerText;
  readonly requests: QuotaRequest[];
}

/** Grants what it is told to, and remembers what it was asked. */
function granting(result: Partial<QuotaResult>, name = "h"): Recorded {
  const requests: QuotaRequest[] = [];
  const allocate = (_: unknown, request: QuotaRequest): QuotaResult => {
    requests.push({ ...request });
    return { granted: 0, validDurationMs: 0, code: 0, message: "", ...result };
  };
  return { handler: { name, configured: answering({ allocate }) }, requests };
}

const limiting = (handler: HandlerText, more: Partial<RuleText> = {}): RuleText => ({
  name: "limit",
  actions: [{ handler, instances: [quota("RequestCount")] }],
  ...more,
});

const all: QuotaQuestion = { quota: "RequestCount", amount: 64, bestEffort: true, dedupId: "" };

interface Asked extends Partial<QuotaQuestion> {
  readonly facts?: Parameters<PolicyFixture["bag"]>[0];
  readonly test?: TestRuntime;
}

/** In place; by promises the answer has to be the same. */
async function ask(rules: readonly RuleText[], asked: Asked = {}): Promise<QuotaAnswer> {
  const { facts = {}, test = policyRuntime(), ...question } = asked;
  test.runtime.publish(fixture.policy(rules));
  const scope = test.runtime.current.scopeOf("");
  const bag = fixture.bag(facts);
  const nowMs = test.clock.wallMs();
  const answer = { ...scope.allocate(bag, { ...all, ...question }, nowMs) };
  const options = { nowMs, onlyRemote: false };
  expect({ ...(await scope.allocateAll(bag, { ...all, ...question }, options)) }).toEqual(answer);
  return answer;
}

const unlimited = { granted: 64, validDurationMs: 60_000, code: 0, rule: "", handler: "" };

test.each(["RequestCount", "requestcount", "REQUESTCOUNT"])(
  "a quota is found as %s",
  async (name) => {
    const { handler } = granting({ granted: 5, validDurationMs: 1_000 });
    expect(await ask([limiting(handler)], { quota: name })).toEqual({
      granted: 5,
      validDurationMs: 1_000,
      code: 0,
      message: "",
      retryAfterMs: 0,
      rule: "limit.rule.istio-system",
      handler: "h.handler.istio-system",
      needsMixer: false,
      mixerFailPolicy: "open",
    });
  },
);

test.each<[what: string, result: Partial<QuotaResult>, retryAfterMs: number]>([
  ["when there will be enough", { retryAfterMs: 300 }, 300],
  ["for how long it holds", { validDurationMs: 200 }, 200],
  ["nothing", {}, 0],
  ["that some is granted", { granted: 1, validDurationMs: 200 }, 0],
])("who is told %s waits for so long", async (_, result, retryAfterMs) => {
  expect(await ask([limiting(granting(result).handler)])).toMatchObject({ retryAfterMs });
});

test("a quota that no rule has is granted, counted, and warned of once a minute", async () => {
  const test = policyRuntime();
  expect(await ask([], { quota: "typo", test })).toMatchObject(unlimited);
  expect(test.counted("mesh_policy_unknown_quotas_total")).toBe(2);
  const warned = () => test.lines.filter((line) => line.includes("no rule has this quota"));
  expect(warned()).toHaveLength(1);
  const scope = test.runtime.current.scopeOf("");
  const again = () => scope.allocate(fixture.bag({}), { ...all, quota: "typo" }, 0);
  again();
  expect(warned()).toHaveLength(1);
  test.clock.advance(60_000);
  again();
  expect(warned()).toHaveLength(2);
});

test("where its condition is false there is no limit", async () => {
  const { handler, requests } = granting({});
  const rule = limiting(handler, { match: 'source.user == "ann"' });
  expect(await ask([rule], { facts: { "source.user": "bob" } })).toMatchObject(unlimited);
  expect(requests).toEqual([]);
});

test("of several rules that match the first answers, and the others are not asked", async () => {
  const [a, b] = [granting({ granted: 55 }), granting({ granted: 66 }, "g")];
  const rules = [
    limiting(b.handler, { name: "b" }),
    limiting(a.handler, { name: "a", match: 'source.user == "ann"' }),
  ];
  expect(await ask(rules, { facts: { "source.user": "ann" } })).toMatchObject({ granted: 55 });
  expect(b.requests).toEqual([]);
  expect(await ask(rules, { facts: { "source.user": "bob" } })).toMatchObject({ granted: 66 });
});

test("the id of a request is told apart by the name of the quota; no id stays none", async () => {
  const { handler, requests } = granting({ granted: 1 });
  await ask([limiting(handler)], { dedupId: "42", amount: 3, bestEffort: false });
  await ask([limiting(handler)]);
  const nowMs = Date.UTC(2026, 0, 1);
  const first = { amount: 3, bestEffort: false, dedupId: "42RequestCount", nowMs };
  const second = { amount: 64, bestEffort: true, dedupId: "", nowMs };
  expect(requests).toEqual([first, first, second, second]);
});

test("a refusal is no fault", async () => {
  const { handler } = granting({ granted: 0 });
  expect(await ask([limiting(handler)])).toMatchObject({ granted: 0, code: 0, validDurationMs: 0 });
  const exhausted = granting({ granted: 0, code: 8, message: "exhausted" });
  expect(await ask([limiting(exhausted.handler, { failPolicy: "open" })])).toMatchObject({
    granted: 0,
    code: 8,
    message: "exhausted",
  });
});

test.each<[own: "open" | "closed" | undefined, rule: "open" | "closed", granted: number]>([
  [undefined, "closed", 0],
  [undefined, "open", 64],
  ["open", "closed", 64],
  ["closed", "open", 0],
])(
  "a handler that cannot count and fails %p, of a rule that fails %p, grants %i",
  async (own, failPolicy, granted) => {
    const broken = granting({ code: 14, message: "gone" }).handler;
    const handler = own === undefined ? broken : { ...broken, failPolicy: own };
    const test = policyRuntime();
    expect(await ask([limiting(handler, { failPolicy })], { test })).toMatchObject({
      granted,
      validDurationMs: 0,
      code: granted === 0 ? 14 : 0,
      message: granted === 0 ? "gone" : "",
    });
    const { statistics } = test.runtime;
    expect(statistics.of("limit.rule.istio-system")?.failed.handler).toBe(2);
  },
);

test.each([
  ["its condition", { match: 'source.user == "ann"' }, "match"],
  ["its instance", {}, "instance"],
] as const)(
  "a quota grants nothing where %s has no value, unless it fails open",
  async (_, more, of) => {
    const { handler, requests } = granting({ granted: 1 });
    const rule: RuleText = {
      name: "limit",
      actions: [{ handler, instances: [quota("RequestCount", { user: "source.user" })] }],
      ...more,
    };
    const test = policyRuntime();
    expect(await ask([rule], { test })).toMatchObject({
      granted: 0,
      code: 13,
      message: "lookup failed: 'source.user'",
    });
    expect(await ask([{ ...rule, failPolicy: "open" }], { test })).toMatchObject(unlimited);
    expect(test.runtime.statistics.of("limit.rule.istio-system")?.failed[of]).toBe(4);
    expect(requests).toEqual([]);
  },
);

test("each namespace has its own quotas, and those that are for all", async () => {
  const { runtime } = policyRuntime();
  runtime.publish(
    fixture.policy([
      limiting(granting({ granted: 1 }).handler),
      {
        name: "own",
        namespace: "shop",
        actions: [
          { handler: granting({ granted: 2 }, "g").handler, instances: [quota("Baskets")] },
        ],
      },
    ]),
  );
  const granted = (namespace: string, quota: string) =>
    runtime.current.scopeOf(namespace).allocate(fixture.bag({}), { ...all, quota }, 0).granted;
  expect(granted("shop", "Baskets")).toBe(2);
  expect(granted("shop", "RequestCount")).toBe(1);
  expect(granted("bank", "Baskets")).toBe(64);
});

test("a quota that only the mixer can count is left to it, and said", async () => {
  const { runtime, clock } = policyRuntime();
  const allocate = async () => ({
    granted: 7,
    validDurationMs: 500,
    code: 0 as const,
    message: "",
  });
  const remote: HandlerText = { name: "h", configured: answeringRemotely({ allocate }) };
  const local = granting({ granted: 3 }, "g").handler;
  const rules = [limiting(remote, { name: "a", failPolicy: "open" })];
  runtime.publish(fixture.policy([...rules, limiting(local, { name: "b" })]));
  const scope = runtime.current.scopeOf("");
  expect(scope.allocate(fixture.bag({}), all, 0)).toMatchObject({
    granted: 64,
    validDurationMs: 0,
    needsMixer: true,
    mixerFailPolicy: "open",
    rule: "a.rule.istio-system",
  });
  const options = { nowMs: clock.wallMs(), onlyRemote: true };
  expect(await scope.allocateAll(fixture.bag({}), all, options)).toMatchObject({
    granted: 7,
    needsMixer: false,
  });
  runtime.publish(fixture.policy([limiting(remote)]));
  expect(runtime.current.scopeOf("").allocate(fixture.bag({}), all, 0)).toMatchObject({
    granted: 0,
    code: 14,
    needsMixer: true,
    mixerFailPolicy: "closed",
  });
});

test("an answer that is late is a fault", async () => {
  const { runtime, clock } = policyRuntime();
  const allocate = () => new Promise<QuotaResult>(() => {});
  const handler = { name: "h", configured: answeringRemotely({ allocate }), timeoutMs: 20 };
  runtime.publish(fixture.policy([limiting(handler)]));
  const scope = runtime.current.scopeOf("");
  const asked = scope.allocateAll(fixture.bag({}), all, { nowMs: 0, onlyRemote: false });
  await Promise.resolve();
  await Promise.resolve();
  clock.advance(20);
  expect(await asked).toMatchObject({ granted: 0, code: 4, message: "no answer within 20 ms" });
  expect(runtime.statistics.of("limit.rule.istio-system")?.failed.late).toBe(1);
});

test("the same id gets the same answer of a real limit, another id another", async () => {
  const { runtime, clock } = policyRuntime();
  const parameters = {
    quotas: [{ name: "RequestCount.instance.istio-system", maxAmount: 10, validDuration: "1s" }],
  };
  runtime.publish(
    fixture.policy([limiting({ name: "h", configured: configured(memoryQuota, parameters) })]),
  );
  const granted = (dedupId: string) =>
    runtime.current
      .scopeOf("")
      .allocate(fixture.bag({}), { ...all, amount: 6, dedupId }, clock.wallMs()).granted;
  expect([granted("1"), granted("1"), granted("2"), granted("")]).toEqual([6, 6, 4, 0]);
});
