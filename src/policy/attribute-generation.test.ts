/** What generators find out, who may use it, and what happens when they cannot. */
import { expect, test } from "bun:test";
import {
  answering,
  answeringRemotely,
  type HandlerText,
  type InstanceText,
  PolicyFixture,
  type RuleText,
} from "../testing/policy-fixture.ts";
import { policyRuntime } from "../testing/policy-runtime.ts";
import { checkOk, type GenerateResult } from "./result.ts";
import type { AnyInstance } from "./template.ts";

const fixture = new PolicyFixture({
  "source.uid": "STRING",
  "source.workload": "STRING",
  "source.namespace": "STRING",
});

const workload: InstanceText = {
  name: "workload",
  template: "kubernetes",
  fields: { sourceUid: "source.uid" },
  bindings: { "source.workload": "sourceWorkloadName", "source.namespace": "sourceNamespace" },
};

const knows = (instance: AnyInstance): GenerateResult =>
  instance.template === "kubernetes" && instance.sourceUid === "kubernetes://web-1.shop"
    ? { output: { sourceWorkloadName: "web", sourceNamespace: "shop" }, fault: "" }
    : { output: {}, fault: "" };

const generating = (handler: HandlerText, more: Partial<RuleText> = {}): RuleText => ({
  name: "generate",
  actions: [{ handler, instances: [workload] }],
  ...more,
});
const local = (generate: (instance: AnyInstance) => GenerateResult): HandlerText => ({
  name: "g",
  configured: answering({ generate }),
});

/** Denies the workload "web", and says what it read. */
const denying: RuleText = {
  name: "no-web",
  match: 'source.workload == "web"',
  actions: [
    {
      handler: {
        name: "no",
        configured: answering({ check: () => ({ ...checkOk, code: 7, message: "no web" }) }),
      },
      instances: [{ name: "nothing", template: "checknothing" }],
    },
  ],
  failPolicy: "open",
};

async function codeOf(rules: readonly RuleText[], facts: Readonly<Record<string, string>>) {
  const { runtime } = policyRuntime();
  runtime.publish(fixture.policy(rules));
  const scope = runtime.current.scopeOf("");
  const bag = fixture.bag(facts);
  const { code } = scope.check(bag, 0);
  const later = await scope.checkAll(bag, { nowMs: 0, onlyRemote: false });
  expect(later.code).toBe(code);
  return code;
}

const web = { "source.uid": "kubernetes://web-1.shop" };

test("rules read what a generator found out, wherever it is asked", async () => {
  const far: HandlerText = {
    name: "g",
    configured: answeringRemotely({ generate: async (instance) => knows(instance) }),
  };
  expect(await codeOf([generating(local(knows)), denying], web)).toBe(7);
  expect(await codeOf([generating(local(knows)), denying], { "source.uid": "other" })).toBe(0);
  const { runtime } = policyRuntime();
  runtime.publish(fixture.policy([generating(far), denying]));
  const scope = runtime.current.scopeOf("");
  expect(scope.check(fixture.bag(web), 0)).toMatchObject({ code: 0, needsMixer: true });
  const options = { nowMs: 0, onlyRemote: false };
  expect((await scope.checkAll(fixture.bag(web), options)).code).toBe(7);
});

test("what the exchange says itself is never replaced", async () => {
  const rules = [generating(local(knows)), denying];
  expect(await codeOf(rules, { ...web, "source.workload": "api" })).toBe(0);
});

test("of two generators the first counts", async () => {
  const other = { output: { sourceWorkloadName: "api" }, fault: "" };
  const second = generating({ ...local(() => other), name: "h" }, { name: "later" });
  expect(await codeOf([generating(local(knows)), second, denying], web)).toBe(7);
});

test("nothing is left of one exchange for the next", () => {
  const { runtime } = policyRuntime();
  runtime.publish(fixture.policy([generating(local(knows)), denying]));
  const scope = runtime.current.scopeOf("");
  const codes = [web, { "source.uid": "other" }, web].map(
    (facts) => scope.check(fixture.bag(facts), 0).code,
  );
  expect(codes).toEqual([7, 0, 7]);
});

test("a generator whose condition is false, or has no value, adds nothing", async () => {
  const only = (match: string) => [generating(local(knows), { match }), denying];
  expect(await codeOf(only('source.uid == "other"'), web)).toBe(0);
  expect(await codeOf(only('source.namespace == "shop"'), web)).toBe(0);
});

const broken = (): GenerateResult => ({ output: {}, fault: "gone" });

test.each<[what: string, handler: HandlerText, facts: Readonly<Record<string, string>>]>([
  ["cannot find out", local(broken), web],
  ["is told too little", local(knows), {}],
  [
    "throws",
    local(() => {
      throw new Error("bang");
    }),
    web,
  ],
])("a generator that %s denies, unless it fails open", async (_, handler, facts) => {
  expect(await codeOf([generating(handler)], facts)).toBe(13);
  expect(await codeOf([generating(handler, { failPolicy: "open" })], facts)).toBe(0);
});

test("reports go on without what a generator did not find out", () => {
  const { runtime } = policyRuntime();
  let told = 0;
  const report = () => {
    told++;
    return [];
  };
  const telling: RuleText = {
    name: "tell",
    actions: [
      {
        handler: { name: "h", configured: answering({ report }) },
        instances: [{ name: "nothing", template: "reportnothing" }],
      },
    ],
  };
  runtime.publish(fixture.policy([generating(local(broken)), telling]));
  runtime.current.scopeOf("").report(fixture.bag(web));
  expect(told).toBe(1);
  expect(runtime.statistics.of("generate.rule.istio-system")).toMatchObject({
    failed: { handler: 1 },
    denied: 0,
    lastFault: "gone",
  });
});
