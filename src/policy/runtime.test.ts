/** What publishing does: which handlers stay, which go and when, and what is counted over all. */
import { expect, test } from "bun:test";
import { memoryQuota } from "../adapter/memory-quota.ts";
import {
  answeringRemotely,
  configured,
  type HandlerText,
  type InstanceText,
  PolicyFixture,
  type RuleText,
} from "../testing/policy-fixture.ts";
import { policyRuntime } from "../testing/policy-runtime.ts";
import { type CheckResult, checkOk } from "./result.ts";

const fixture = new PolicyFixture({
  "context.reporter.kind": "STRING",
  "source.namespace": "STRING",
  "destination.namespace": "STRING",
  "source.ip": "STRING",
  "source.labels": "STRING_MAP",
  "source.workload": "STRING",
});

const nothing: InstanceText = { name: "nothing", template: "checknothing" };
const yes = { check: () => checkOk };

/** Opens handlers that write down what becomes of them. */
class Diary {
  readonly lines: string[] = [];

  handler(name: string, signature: string, fails = ""): HandlerText {
    return {
      name,
      signature,
      configured: {
        runsAt: "proxy",
        open: () => {
          if (fails !== "") throw new Error(fails);
          this.lines.push(`open ${name} ${signature}`);
          return { ...yes, close: () => void this.lines.push(`close ${name} ${signature}`) };
        },
      },
    };
  }

  take(): string[] {
    return this.lines.splice(0);
  }
}

const checking = (...handlers: HandlerText[]): RuleText[] =>
  handlers.map((handler) => ({
    name: `check-${handler.name}`,
    actions: [{ handler, instances: [nothing] }],
  }));

test("before the first publication everybody may do everything", () => {
  const { runtime } = policyRuntime();
  const scope = runtime.current.scopeFor(fixture.bag({}));
  expect([runtime.current.generation, scope.checksNothing, scope.reportsNothing]).toEqual([
    0,
    true,
    true,
  ]);
  expect(scope.check(fixture.bag({}), 0).code).toBe(0);
});

test("handlers that did not change are kept, others opened and closed", () => {
  const { runtime, counted } = policyRuntime();
  const diary = new Diary();
  const publish = (...handlers: HandlerText[]) =>
    runtime.publish(fixture.policy(checking(...handlers))).generation;
  expect(publish(diary.handler("a", "1"), diary.handler("b", "1"))).toBe(1);
  expect(diary.take()).toEqual(["open a 1", "open b 1"]);
  expect(publish(diary.handler("a", "1"), diary.handler("b", "2"))).toBe(2);
  expect(diary.take()).toEqual(["open b 2", "close b 1"]);
  publish(diary.handler("b", "2"));
  expect(diary.take()).toEqual(["close a 1"]);
  runtime.close();
  runtime.close();
  expect(diary.take()).toEqual(["close b 2"]);
  expect(counted("mesh_policy_handlers_kept_total")).toBe(0);
});

test("what happens to handlers is counted", () => {
  const { runtime, counted } = policyRuntime();
  const diary = new Diary();
  const kinds = ["opened", "kept", "closed", "open_failures"];
  runtime.publish(fixture.policy(checking(diary.handler("a", "1"), diary.handler("b", "1"))));
  runtime.publish(
    fixture.policy(checking(diary.handler("a", "1"), diary.handler("b", "2", "port in use"))),
  );
  expect(kinds.map((kind) => counted(`mesh_policy_handlers_${kind}_total`))).toEqual([2, 1, 1, 1]);
  expect([counted("mesh_policy_generation"), counted("mesh_policy_rules")]).toEqual([2, 2]);
});

test("whoever holds an engine keeps its handlers open, over any number of publications", () => {
  const { runtime } = policyRuntime();
  const diary = new Diary();
  runtime.publish(fixture.policy(checking(diary.handler("a", "1"))));
  const held = runtime.current;
  held.acquire();
  runtime.publish(fixture.policy(checking(diary.handler("a", "2"))));
  runtime.publish(fixture.policy(checking(diary.handler("a", "3"))));
  expect(diary.take()).toEqual(["open a 1", "open a 2", "open a 3", "close a 2"]);
  expect(held.scopeOf("").check(fixture.bag({}), 0).code).toBe(0);
  held.release();
  expect(diary.take()).toEqual(["close a 1"]);
});

test("what is asked by a promise is answered before its handler is closed", async () => {
  const { runtime } = policyRuntime();
  let answer: (result: CheckResult) => void = () => {};
  let isClosed = false;
  const handler: HandlerText = {
    name: "slow",
    configured: answeringRemotely({
      check: () => {
        const { promise, resolve } = Promise.withResolvers<CheckResult>();
        answer = resolve;
        return promise;
      },
      close: () => {
        isClosed = true;
      },
    }),
  };
  runtime.publish(fixture.policy(checking(handler)));
  const asked = runtime.current
    .scopeOf("")
    .checkAll(fixture.bag({}), { nowMs: 0, onlyRemote: false });
  await Promise.resolve();
  await Promise.resolve();
  runtime.publish(fixture.policy([]));
  expect(isClosed).toBe(false);
  answer({ ...checkOk, code: 7, message: "no" });
  expect((await asked).code).toBe(7);
  expect(isClosed).toBe(true);
});

test("a handler that cannot be opened is reported, and its rules fail as they say", () => {
  const { runtime, lines } = policyRuntime();
  const diary = new Diary();
  const broken = diary.handler("a", "1", "port in use");
  const [closed] = checking(broken);
  const publication = runtime.publish(fixture.policy([closed!]));
  expect(publication.failures).toEqual([{ handler: "a.handler.istio-system", why: "port in use" }]);
  expect(lines.at(-1)).toContain("handler not opened handler=a.handler.istio-system");
  const check = () => ({ ...runtime.current.scopeOf("").check(fixture.bag({}), 0) });
  expect(check()).toMatchObject({
    code: 14,
    message: "a.handler.istio-system:could not be opened: port in use",
  });
  runtime.publish(fixture.policy([{ ...closed!, failPolicy: "open" }]));
  expect(check().code).toBe(0);
});

test("a proxy opens nothing that only the mixer can ask, and leaves it the question", () => {
  const { runtime, counted } = policyRuntime(undefined, true);
  let opened = 0;
  const open = () => {
    opened++;
    return { check: async () => checkOk, close: () => {} };
  };
  const handler: HandlerText = { name: "a", configured: { runsAt: "mixer", open } };
  expect(runtime.publish(fixture.policy(checking(handler))).failures).toEqual([]);
  expect(opened).toBe(0);
  expect(runtime.current.scopeOf("").check(fixture.bag({}), 0).needsMixer).toBe(true);
  runtime.close();
  expect(counted("mesh_policy_handlers_closed_total")).toBe(0);
});

test("the next publication tries again, though nothing changed", () => {
  const { runtime } = policyRuntime();
  const diary = new Diary();
  runtime.publish(fixture.policy(checking(diary.handler("a", "1", "port in use"))));
  expect(runtime.publish(fixture.policy(checking(diary.handler("a", "1")))).failures).toEqual([]);
  expect(diary.take()).toEqual(["open a 1"]);
  expect(runtime.current.scopeOf("").check(fixture.bag({}), 0).code).toBe(0);
});

test("a handler that fails to close does not keep the others open", () => {
  const { runtime, counted } = policyRuntime();
  const diary = new Diary();
  const stuck: HandlerText = {
    name: "a",
    configured: {
      runsAt: "proxy",
      open: () => ({
        ...yes,
        close: () => {
          throw new Error("stuck");
        },
      }),
    },
  };
  runtime.publish(fixture.policy(checking(stuck, diary.handler("b", "1"))));
  runtime.publish(fixture.policy([]));
  expect(diary.take()).toEqual(["open b 1", "close b 1"]);
  expect(counted("mesh_policy_handlers_close_failures_total")).toBe(1);
});

test("metrics of a handler are gone with it", () => {
  const { runtime, counted } = policyRuntime();
  runtime.publish(fixture.policy(checking(new Diary().handler("a", "1"))));
  runtime.current.scopeOf("").check(fixture.bag({}), 0);
  expect(counted("mesh_policy_calls_total")).toBe(1);
  runtime.publish(fixture.policy([]));
  expect(counted("mesh_policy_calls_total")).toBe(0);
});

test("a limit goes on counting over a publication that does not change it", () => {
  const { runtime, clock } = policyRuntime();
  const limit = (signature: string): RuleText => ({
    name: "limit",
    actions: [
      {
        handler: {
          name: "h",
          signature,
          configured: configured(memoryQuota, {
            quotas: [{ name: "q.instance.istio-system", maxAmount: 2, validDuration: "1s" }],
          }),
        },
        instances: [{ name: "q", template: "quota" }],
        charge: 1,
      },
    ],
  });
  const codeUnder = (signature: string): number => {
    runtime.publish(fixture.policy([limit(signature)]));
    return runtime.current.scopeOf("").check(fixture.bag({}), clock.wallMs()).code;
  };
  expect(["s", "s", "s", "t"].map(codeUnder)).toEqual([0, 0, 8, 0]);
});

test("counts of a rule survive publications, and are gone with the rule", () => {
  const { runtime } = policyRuntime();
  const name = "check-a.rule.istio-system";
  const rules = checking(new Diary().handler("a", "1"));
  for (let i = 0; i < 3; i++) {
    runtime.publish(fixture.policy(rules));
    runtime.current.scopeOf("").check(fixture.bag({}), 0);
  }
  expect(runtime.statistics.of(name)?.matched).toBe(3);
  expect(runtime.statistics.all().map(({ rule }) => rule)).toEqual([name]);
  runtime.publish(fixture.policy(checking(new Diary().handler("b", "1"))));
  expect(runtime.statistics.of(name)).toBeUndefined();
  expect(runtime.statistics.of("check-b.rule.istio-system")?.matched).toBe(0);
  runtime.publish(fixture.policy(rules));
  expect(runtime.statistics.of(name)?.matched).toBe(0);
});

test.each<[facts: Readonly<Record<string, string>>, namespace: string]>([
  [{ "destination.namespace": "shop", "source.namespace": "bank" }, "shop"],
  [{ "context.reporter.kind": "inbound", "destination.namespace": "shop" }, "shop"],
  [
    {
      "context.reporter.kind": "outbound",
      "destination.namespace": "shop",
      "source.namespace": "bank",
    },
    "bank",
  ],
  [{ "context.reporter.kind": "outbound", "destination.namespace": "shop" }, ""],
  [{}, ""],
])("an exchange with %j is judged by the rules of %j", (facts, namespace) => {
  const { runtime } = policyRuntime();
  const rules = ["shop", "bank"].map((own): RuleText => {
    const handler = new Diary().handler(own, "1");
    return { name: "own", namespace: own, actions: [{ handler, instances: [nothing] }] };
  });
  runtime.publish(fixture.policy(rules));
  const { current } = runtime;
  expect(current.scopeFor(fixture.bag(facts))).toBe(current.scopeOf(namespace));
});

test("a scope tells what its rules read, and whether there is anything to ask or tell", () => {
  const { runtime } = policyRuntime();
  const rule: RuleText = {
    name: "own",
    namespace: "shop",
    match: 'source.ip == "1.2.3.4"',
    requestHeaders: [{ name: "n", values: ["source.workload"] }],
  };
  runtime.publish(fixture.policy([rule]));
  const own = runtime.current.scopeOf("shop");
  const names = [...own.reads].map((slot) => fixture.vocabulary.attributes[slot]!.name);
  expect(names.sort()).toEqual(["source.ip", "source.workload"]);
  expect([own.checksNothing, own.reportsNothing, own.reportsToMixer]).toEqual([false, true, false]);
  expect(runtime.current.scopeOf("bank").checksNothing).toBe(true);
});
