/** What requests are charged: exactly, all or nothing, and only those that may pass. */
import { expect, test } from "bun:test";
import { memoryQuota } from "../adapter/memory-quota.ts";
import {
  answering,
  configured,
  type HandlerText,
  type InstanceText,
  PolicyFixture,
  type RuleText,
} from "../testing/policy-fixture.ts";
import { policyRuntime } from "../testing/policy-runtime.ts";
import { checkOk } from "./result.ts";

const fixture = new PolicyFixture({ "request.path": "STRING", "source.user": "STRING" });

const perPath: InstanceText = {
  name: "perPath",
  template: "quota",
  fields: { dimensions: { path: "request.path" } },
};

const limit = (maxAmount: number, name = "limit"): HandlerText => ({
  name,
  configured: configured(memoryQuota, {
    quotas: [{ name: "perPath.instance.istio-system", maxAmount, validDuration: "1s" }],
  }),
});

const charging = (maxAmount: number, charge = 1, name = "limit"): RuleText => ({
  name,
  actions: [{ handler: limit(maxAmount, name), instances: [perPath], charge }],
});

test("of a burst of 1,000 against 100 a second 100 may, and 100 more a second later", () => {
  const { runtime, clock } = policyRuntime();
  runtime.publish(fixture.policy([charging(100)]));
  const bag = fixture.bag({ "request.path": "/p" });
  const burst = (): number => {
    let passed = 0;
    for (let i = 0; i < 1_000; i++)
      if (runtime.current.scopeOf("").check(bag, clock.wallMs()).code === 0) passed++;
    return passed;
  };
  const first = burst();
  clock.advance(999);
  const within = burst();
  clock.advance(1);
  expect([first, within, burst()]).toEqual([100, 0, 100]);
});

test("by promises, all at once, the same 100 of 1,000 may", async () => {
  const { runtime, clock } = policyRuntime();
  runtime.publish(fixture.policy([charging(100)]));
  const bag = fixture.bag({ "request.path": "/p" });
  const options = { nowMs: clock.wallMs(), onlyRemote: false };
  const scope = runtime.current.scopeOf("");
  const codes = await Promise.all(
    Array.from({ length: 1_000 }, async () => (await scope.checkAll(bag, options)).code),
  );
  expect(codes.filter((code) => code === 0)).toHaveLength(100);
  expect(codes.filter((code) => code === 8)).toHaveLength(900);
});

test("what is exhausted is named, and a charge is not used again", () => {
  const { runtime, clock } = policyRuntime();
  runtime.publish(fixture.policy([charging(1)]));
  const bag = fixture.bag({ "request.path": "/p" });
  const check = () => ({ ...runtime.current.scopeOf("").check(bag, clock.wallMs()) });
  expect(check()).toMatchObject({ code: 0, validDurationMs: 0, validUseCount: 0 });
  expect(check()).toMatchObject({
    code: 8,
    message: "Quota is exhausted for: perPath",
    rule: "limit.rule.istio-system",
    validUseCount: 0,
    retryAfterMs: 1_000,
  });
});

test("charges are all or nothing: if one has too little, the others keep theirs", async () => {
  const { runtime, clock } = policyRuntime();
  const rules = [charging(10, 4, "a"), charging(3, 1, "b"), charging(2, 1, "c")];
  runtime.publish(fixture.policy(rules));
  const scope = runtime.current.scopeOf("");
  const bag = fixture.bag({ "request.path": "/p" });
  const options = { nowMs: clock.wallMs(), onlyRemote: false };
  const check = () => ({ ...scope.check(bag, options.nowMs) });
  expect([check().code, check().code]).toEqual([0, 0]);
  expect(check().message).toBe("Quota is exhausted for: perPath,perPath");
  expect((await scope.checkAll(bag, options)).message).toBe(
    "Quota is exhausted for: perPath,perPath",
  );
  const question = { quota: "perPath", amount: 2, bestEffort: false, dedupId: "" };
  expect(scope.allocate(bag, question, options.nowMs).granted).toBe(2);
  expect(runtime.statistics.of("a.rule.istio-system")).toMatchObject({ matched: 5, denied: 2 });
  expect(runtime.statistics.of("b.rule.istio-system")).toMatchObject({ denied: 0 });
});

test("nothing is charged to a request that is denied anyway", async () => {
  const { runtime, clock } = policyRuntime();
  const nothing: InstanceText = { name: "nothing", template: "checknothing" };
  const no = answering({ check: () => ({ ...checkOk, code: 7 }) });
  const denying: RuleText = {
    name: "z",
    match: 'source.user == "bob"',
    actions: [{ handler: { name: "h", configured: no }, instances: [nothing] }],
  };
  runtime.publish(fixture.policy([charging(1), denying]));
  const scope = runtime.current.scopeOf("");
  const check = (name: string) =>
    scope.check(fixture.bag({ "request.path": "/p", "source.user": name }), clock.wallMs()).code;
  const options = { nowMs: clock.wallMs(), onlyRemote: false };
  const bob = fixture.bag({ "request.path": "/p", "source.user": "bob" });
  expect((await scope.checkAll(bob, options)).code).toBe(7);
  expect([check("bob"), check("bob"), check("ann"), check("ann")]).toEqual([7, 7, 0, 8]);
});

test("a handler that tells when there is quota again is passed on", () => {
  const { runtime } = policyRuntime();
  const exhausted = answering({
    allocate: () => ({ granted: 0, validDurationMs: 250, code: 8, message: "exhausted" }),
  });
  const rule: RuleText = {
    name: "a",
    actions: [{ handler: { name: "h", configured: exhausted }, instances: [perPath], charge: 1 }],
  };
  runtime.publish(fixture.policy([rule]));
  const verdict = runtime.current.scopeOf("").check(fixture.bag({ "request.path": "/" }), 0);
  expect(verdict).toMatchObject({ code: 8, retryAfterMs: 250 });
});

test.each<[failPolicy: "open" | "closed", code: number, message: string]>([
  ["open", 0, ""],
  ["closed", 14, "h.handler.istio-system:redisquota: Service Unavailable"],
])("a quota that cannot be counted and fails %p gives %i", async (failPolicy, code, message) => {
  const broken = answering({
    allocate: () => ({
      granted: 0,
      validDurationMs: 0,
      code: 14,
      message: "redisquota: Service Unavailable",
    }),
  });
  const rule: RuleText = {
    name: "a",
    failPolicy,
    actions: [{ handler: { name: "h", configured: broken }, instances: [perPath], charge: 1 }],
  };
  const { runtime } = policyRuntime();
  runtime.publish(fixture.policy([rule]));
  const scope = runtime.current.scopeOf("");
  const bag = fixture.bag({ "request.path": "/" });
  expect(scope.check(bag, 0)).toMatchObject({ code, message });
  const later = await scope.checkAll(bag, { nowMs: 0, onlyRemote: false });
  expect(later).toMatchObject({ code, message });
});

test("a request asked twice with one id is charged once", async () => {
  const { runtime, clock } = policyRuntime();
  runtime.publish(fixture.policy([charging(2)]));
  const scope = runtime.current.scopeOf("");
  const bag = fixture.bag({ "request.path": "/" });
  const code = async (dedupId?: string) =>
    (
      await scope.checkAll(bag, {
        nowMs: clock.wallMs(),
        onlyRemote: false,
        ...(dedupId !== undefined && { dedupId }),
      })
    ).code;
  expect([await code("1"), await code("1"), await code("2"), await code("3")]).toEqual([
    0, 0, 0, 8,
  ]);
});

test("part of a charge is not enough, and is given back", () => {
  const { runtime } = policyRuntime();
  const amounts: number[] = [];
  const sparing = answering({
    allocate: (_, { amount }) => {
      amounts.push(amount);
      return { granted: 3, validDurationMs: 0, code: 0, message: "" };
    },
  });
  const rule: RuleText = {
    name: "a",
    actions: [{ handler: { name: "h", configured: sparing }, instances: [perPath], charge: 4 }],
  };
  runtime.publish(fixture.policy([rule]));
  const scope = runtime.current.scopeOf("");
  expect(scope.check(fixture.bag({ "request.path": "/" }), 0).code).toBe(8);
  expect(amounts).toEqual([4, -3]);
});
