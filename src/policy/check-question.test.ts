/** What a check answers: who may, who may not, for how long it holds, and when nobody can judge. */
import { expect, test } from "bun:test";
import { denier } from "../adapter/denier.ts";
import { list } from "../adapter/list.ts";
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
import { type CheckResult, checkFault, checkOk } from "./result.ts";
import type { Verdict } from "./verdict.ts";

const fixture = new PolicyFixture({
  "destination.service": "STRING",
  "request.path": "STRING",
  "request.headers": "STRING_MAP",
  "source.user": "STRING",
  "response.code": "INT64",
});

const nothing: InstanceText = { name: "nothing", template: "checknothing" };
const user: InstanceText = {
  name: "user",
  template: "listentry",
  fields: { value: "source.user" },
};
function handler(name: string, result: Partial<CheckResult>): HandlerText {
  return { name, configured: answering({ check: () => ({ ...checkOk, ...result }) }) };
}

function checking(name: string, ...handlers: HandlerText[]): RuleText {
  return { name, actions: handlers.map((one) => ({ handler: one, instances: [nothing] })) };
}

interface Asked {
  readonly facts?: Parameters<PolicyFixture["bag"]>[0];
  readonly test?: TestRuntime;
  readonly namespace?: string;
}

/** What both forms answer; they have to agree. */
async function ask(rules: readonly RuleText[], asked: Asked = {}): Promise<Verdict> {
  const { facts = {}, test = policyRuntime(), namespace = "" } = asked;
  test.runtime.publish(fixture.policy(rules));
  const bag = fixture.bag(facts);
  const scope = test.runtime.current.scopeOf(namespace);
  const verdict = shown(scope.check(bag, test.clock.wallMs()));
  const nowMs = test.clock.wallMs();
  expect(shown(await scope.checkAll(bag, { nowMs, onlyRemote: false }))).toEqual(verdict);
  return verdict;
}

/** A copy without what the builder keeps for itself. */
function shown(verdict: Verdict): Verdict {
  return { ...verdict, requestHeaders: [...verdict.requestHeaders] };
}

const ok = { code: 0, message: "", rule: "" } as const;

test("without a rule that has something to say everybody may, for a minute", async () => {
  expect(await ask([])).toMatchObject({ ...ok, validDurationMs: 60_000, validUseCount: 10_000 });
  const other = { ...checking("a", handler("h", { code: 7 })), match: 'request.path == "/x"' };
  expect(await ask([other], { facts: { "request.path": "/y" } })).toMatchObject({
    ...ok,
    validDurationMs: 60_000,
    validUseCount: 10_000,
  });
});

test("an answer holds for as long and as often as the least of its parts", async () => {
  const rules = [
    checking("a", handler("h", { validDurationMs: 60_000, validUseCount: 10 })),
    checking("b", handler("g", { validDurationMs: 1, validUseCount: 20 })),
  ];
  expect(await ask(rules)).toMatchObject({ ...ok, validDurationMs: 1, validUseCount: 10 });
});

test.each<[first: Partial<CheckResult>, second: Partial<CheckResult>]>([
  [{}, { validDurationMs: 1_000, validUseCount: 10 }],
  [{ validDurationMs: 1_000, validUseCount: 10 }, {}],
  [{}, {}],
])("an answer that does not say how long it holds is not used again: %j, %j", async (a, b) => {
  const rules = [checking("a", handler("h", a)), checking("b", handler("g", b))];
  expect(await ask(rules)).toMatchObject({ ...ok, validDurationMs: 0, validUseCount: 0 });
});

test("of several that deny, the first gives code and rule, and all the reason", async () => {
  const rules = [
    checking("a", handler("fine", { validDurationMs: 5, validUseCount: 5 })),
    checking("b", handler("h", { code: 15, message: "lost" }), handler("g", { code: 4 })),
    checking("c", handler("f", { code: 7, message: "no" })),
  ];
  expect(await ask(rules)).toMatchObject({
    code: 15,
    message: "h.handler.istio-system:lost, g.handler.istio-system:, f.handler.istio-system:no",
    rule: "b.rule.istio-system",
  });
});

test("rules of the root namespace are for all and come first, others for their own", async () => {
  const denying = (name: string, namespace: string): RuleText => ({
    ...checking(name, handler(name, { code: 7, message: namespace })),
    namespace,
  });
  const rules = [denying("z", "istio-system"), denying("a", "shop"), denying("b", "bank")];
  const messages = async (namespace: string) => (await ask(rules, { namespace })).message;
  const root = "z.handler.istio-system:istio-system";
  expect(await messages("shop")).toBe(`${root}, a.handler.istio-system:shop`);
  expect(await messages("bank")).toBe(`${root}, b.handler.istio-system:bank`);
  expect(await messages("istio-system")).toBe(root);
  expect(await messages("elsewhere")).toBe(root);
  expect(await messages("")).toBe(root);
});

test("a rule whose condition has no value denies, unless it fails open", async () => {
  const rule = { ...checking("a", handler("h", {})), match: 'source.user == "x"' };
  const test = policyRuntime();
  expect(await ask([rule], { test })).toMatchObject({
    code: 13,
    message: "a.rule.istio-system:lookup failed: 'source.user'",
    rule: "a.rule.istio-system",
    validDurationMs: 0,
  });
  expect(await ask([{ ...rule, failPolicy: "open" }], { test })).toMatchObject({
    ...ok,
    validDurationMs: 0,
    validUseCount: 0,
  });
  expect(test.runtime.statistics.of("a.rule.istio-system")).toMatchObject({
    matched: 0,
    denied: 2,
    failed: { match: 4, instance: 0, handler: 0, late: 0 },
    lastFault: "lookup failed: 'source.user'",
  });
});

test("a pair that cannot hold decides, whatever else is absent", async () => {
  const conditions = [
    'source.user == "x" && destination.service == "a"',
    'destination.service == "a" && source.user == "x"',
  ];
  for (const match of conditions) {
    const rule = { ...checking("a", handler("h", { code: 7 })), match };
    expect((await ask([rule], { facts: { "destination.service": "b" } })).code).toBe(0);
    expect((await ask([rule], { facts: { "destination.service": "a" } })).code).toBe(13);
  }
});

test("an instance that cannot be made denies, unless its rule fails open", async () => {
  const whitelist = configured(list, { overrides: ["ann"] });
  const rule: RuleText = {
    name: "a",
    actions: [{ handler: { name: "h", configured: whitelist }, instances: [user] }],
  };
  expect(await ask([rule], { facts: { "source.user": "ann" } })).toMatchObject(ok);
  expect(await ask([rule], { facts: { "source.user": "bob" } })).toMatchObject({
    code: 7,
    message: "h.handler.istio-system:bob is not whitelisted",
  });
  expect(await ask([rule])).toMatchObject({
    code: 13,
    message: "user.instance.istio-system:lookup failed: 'source.user'",
  });
  expect(await ask([{ ...rule, failPolicy: "open" }])).toMatchObject(ok);
});

test.each<[handler: "open" | "closed" | undefined, rule: "open" | "closed", code: number]>([
  [undefined, "closed", 13],
  [undefined, "open", 0],
  ["open", "closed", 0],
  ["closed", "open", 13],
])(
  "a handler that cannot judge and fails %p, in a rule that fails %p, gives %i",
  async (own, rule, code) => {
    const broken: HandlerText = {
      name: "h",
      configured: answering({ check: () => checkFault("gone") }),
      ...(own && { failPolicy: own }),
    };
    const verdict = await ask([{ ...checking("a", broken), failPolicy: rule }]);
    expect(verdict).toMatchObject({
      code,
      message: code === 0 ? "" : "h.handler.istio-system:gone",
      validDurationMs: 0,
      validUseCount: 0,
    });
  },
);

test("what an adapter throws is a fault of its handler", async () => {
  const throwing = answering({
    check: () => {
      throw new TypeError("no such thing");
    },
  });
  const verdict = await ask([checking("a", { name: "h", configured: throwing })]);
  expect(verdict).toMatchObject({ code: 13, message: "h.handler.istio-system:no such thing" });
});

test("a handler without an answer to checks is a fault, and no yes", async () => {
  const verdict = await ask([checking("a", { name: "h", configured: answering({}) })]);
  expect(verdict).toMatchObject({ code: 14, message: "h.handler.istio-system:cannot check" });
});

test("headers are changed by all rules that match, if nobody denies", async () => {
  const rules: RuleText[] = [
    {
      name: "a",
      requestHeaders: [
        { name: "x-user", values: ["source.user", '""', "request.path"] },
        { name: "x-secret", operation: "remove" },
      ],
      responseHeaders: [{ name: "x-b", operation: "append", values: ['"1"', "request.path"] }],
    },
    { name: "b", match: 'request.path == "/x"', requestHeaders: [{ name: "n", values: ['"n"'] }] },
    { name: "c", match: 'source.user == ""', requestHeaders: [{ name: "m", values: ['"m"'] }] },
  ];
  const facts = { "request.path": "/p" };
  expect(await ask(rules, { facts })).toMatchObject({
    ...ok,
    requestHeaders: [
      { name: "x-user", value: "/p", operation: "replace" },
      { name: "x-secret", value: "", operation: "remove" },
    ],
    responseHeaders: [
      { name: "x-b", value: "1", operation: "append" },
      { name: "x-b", value: "/p", operation: "append" },
    ],
    validDurationMs: 60_000,
  });
  const denied = await ask([...rules, checking("z", handler("h", { code: 7 }))], { facts });
  expect(denied).toMatchObject({ code: 7, requestHeaders: [], responseHeaders: [] });
});

test("header operations read what the action of their rule answered", async () => {
  const saying = (value: string): HandlerText =>
    handler(value, { output: { value }, validDurationMs: 1, validUseCount: 1 });
  const rule = (name: string, a: string, b: string): RuleText => ({
    ...checking(name, saying(a), saying(b)),
    outputs: [
      { action: 1, field: "value" },
      { action: 0, field: "value" },
      { action: 0, field: "toString" },
    ],
    requestHeaders: [{ name, values: ["$0", "$1", "$2"] }],
  });
  const { requestHeaders } = await ask([rule("p", "1", "2"), rule("q", "3", "4")]);
  expect(requestHeaders.map(({ name, value }) => `${name}=${value}`)).toEqual([
    "p=2",
    "p=1",
    "q=4",
    "q=3",
  ]);
});

const direct = (code: number, status: number, headers = {}): RuleText => {
  const parameters = {
    status: {
      code: status,
      details: [
        {
          "@type": "type.googleapis.com/istio.policy.v1beta1.DirectHttpResponse",
          code,
          body: "nope",
          headers,
        },
      ],
    },
  };
  return checking("a", { name: "h", configured: configured(denier, parameters) });
};

test.each<[code: number, status: number, http: number]>([
  [418, 7, 418],
  [302, 16, 302],
  [0, 1, 408],
  [0, 2, 500],
  [0, 3, 400],
  [0, 4, 504],
  [0, 5, 404],
  [0, 6, 409],
  [0, 7, 403],
  [0, 8, 429],
  [0, 9, 412],
  [0, 10, 409],
  [0, 11, 400],
  [0, 12, 501],
  [0, 13, 500],
  [0, 14, 503],
  [0, 15, 500],
  [0, 16, 401],
])("a direct response with code %i of a denial with %i is HTTP %i", async (code, status, http) => {
  const verdict = await ask([direct(code, status)]);
  expect(verdict.direct).toEqual({ code: http, body: "nope" });
});

test("headers of a direct response replace others; cookies are added one by one", async () => {
  const headers = {
    location: "/login",
    "Set-Cookie": "a=1; Expires=Wed, 09 Jun 2027 10:18:14 GMT; Path=/,b=2 , c=3",
  };
  expect(await ask([direct(302, 16, headers)])).toMatchObject({
    requestHeaders: [],
    responseHeaders: [
      { name: "location", value: "/login", operation: "replace" },
      {
        name: "Set-Cookie",
        value: "a=1; Expires=Wed, 09 Jun 2027 10:18:14 GMT; Path=/",
        operation: "append",
      },
      { name: "Set-Cookie", value: "b=2", operation: "append" },
      { name: "Set-Cookie", value: "c=3", operation: "append" },
    ],
  });
});

test("only the first that denies may answer directly", async () => {
  const later = { ...direct(418, 7), name: "b" };
  const verdict = await ask([checking("a", handler("first", { code: 5 })), later]);
  expect(verdict).toMatchObject({ code: 5, direct: undefined, responseHeaders: [] });
});

test("what only the mixer can answer is left to it, and said", async () => {
  const { runtime, clock } = policyRuntime();
  const remote = (name: string, result: Partial<CheckResult>): HandlerText => ({
    name,
    configured: answeringRemotely({ check: async () => ({ ...checkOk, ...result }) }),
  });
  const rules: RuleText[] = [
    { ...checking("a", remote("far", { code: 7, message: "far" })), failPolicy: "open" },
    { ...checking("b", handler("near", { code: 5, message: "near" })) },
    { ...checking("c", remote("never", { code: 3 })), match: 'source.user == "x"' },
  ];
  runtime.publish(fixture.policy(rules));
  const bag = fixture.bag({ "source.user": "y" });
  const scope = runtime.current.scopeOf("");
  expect(scope.check(bag, 0)).toMatchObject({
    code: 5,
    message: "near.handler.istio-system:near",
    needsMixer: true,
    mixerFailPolicy: "open",
  });
  const nowMs = clock.wallMs();
  expect(await scope.checkAll(bag, { nowMs, onlyRemote: true })).toMatchObject({
    code: 7,
    message: "far.handler.istio-system:far",
  });
  expect(await scope.checkAll(bag, { nowMs, onlyRemote: false })).toMatchObject({
    code: 7,
    message: "far.handler.istio-system:far, near.handler.istio-system:near",
    needsMixer: false,
  });
  expect(scope.check(fixture.bag({ "source.user": "x" }), 0).mixerFailPolicy).toBe("closed");
});

test("the mixer changes no headers for a proxy that has done so itself", async () => {
  const { runtime } = policyRuntime();
  const remote = answeringRemotely({ check: async () => checkOk });
  const rule: RuleText = {
    ...checking("a", { name: "h", configured: remote }),
    requestHeaders: [{ name: "n", values: ['"v"'] }],
  };
  runtime.publish(fixture.policy([rule]));
  const scope = runtime.current.scopeOf("");
  const of = async (onlyRemote: boolean) =>
    (await scope.checkAll(fixture.bag({}), { nowMs: 0, onlyRemote })).requestHeaders.length;
  expect([await of(true), await of(false)]).toEqual([0, 1]);
});

test.each<[what: string, check: () => Promise<CheckResult>, message: string, of: string]>([
  ["late", () => new Promise(() => {}), "no answer within 250 ms", "late"],
  ["rejected", () => Promise.reject(new Error("boom")), "boom", "handler"],
  [
    "thrown",
    () => {
      throw new Error("bang");
    },
    "bang",
    "handler",
  ],
])("an answer that is %s is a fault, and the promise is kept", async (_, check, message, of) => {
  const { runtime, clock, counted } = policyRuntime();
  const slow: HandlerText = {
    name: "h",
    configured: answeringRemotely({ check }),
    timeoutMs: 250,
  };
  runtime.publish(fixture.policy([checking("a", slow)]));
  const asked = runtime.current.scopeOf("").checkAll(fixture.bag({}), {
    nowMs: 0,
    onlyRemote: false,
  });
  await Promise.resolve();
  await Promise.resolve();
  clock.advance(250);
  expect(await asked).toMatchObject({ rule: "a.rule.istio-system", validDurationMs: 0 });
  expect((await asked).message).toBe(`h.handler.istio-system:${message}`);
  expect(runtime.statistics.of("a.rule.istio-system")?.failed).toMatchObject({ [of]: 1 });
  expect(counted("mesh_policy_faults_total")).toBe(1);
  expect(clock.waiting).toBe(0);
});

test("all handlers are asked at the same time, each for as long as it may take", async () => {
  const { runtime, clock } = policyRuntime();
  let asked = 0;
  const slow = (name: string): HandlerText => ({
    name,
    configured: answeringRemotely({
      check: () => {
        asked++;
        return new Promise(() => {});
      },
    }),
  });
  runtime.publish(fixture.policy([checking("a", slow("h"), slow("g")), checking("b", slow("f"))]));
  const verdict = runtime.current
    .scopeOf("")
    .checkAll(fixture.bag({}), { nowMs: 0, onlyRemote: false });
  await Promise.resolve();
  await Promise.resolve();
  expect(asked).toBe(3);
  clock.advance(1_000);
  expect((await verdict).code).toBe(4);
});

test("the mixer does not judge rules that have nothing for it to answer", async () => {
  const { runtime } = policyRuntime();
  const rule = { ...checking("a", handler("near", {})), match: 'source.user == "x"' };
  runtime.publish(fixture.policy([rule]));
  const of = async (onlyRemote: boolean) =>
    (await runtime.current.scopeOf("").checkAll(fixture.bag({}), { nowMs: 0, onlyRemote })).code;
  expect([await of(true), await of(false)]).toEqual([0, 13]);
});

test("of several handlers in the mixer one that fails closed is enough", () => {
  const { runtime } = policyRuntime();
  const remote = (name: string, failPolicy: "open" | "closed"): HandlerText => ({
    name,
    failPolicy,
    configured: answeringRemotely({ check: async () => checkOk }),
  });
  runtime.publish(fixture.policy([checking("a", remote("h", "open"), remote("g", "closed"))]));
  expect(runtime.current.scopeOf("").check(fixture.bag({}), 0).mixerFailPolicy).toBe("closed");
});

test("an answer in time leaves no timer behind", async () => {
  const { runtime, clock } = policyRuntime();
  const quick = { name: "h", configured: answeringRemotely({ check: async () => checkOk }) };
  runtime.publish(fixture.policy([checking("a", quick)]));
  await runtime.current.scopeOf("").checkAll(fixture.bag({}), { nowMs: 0, onlyRemote: false });
  expect(clock.waiting).toBe(0);
});
