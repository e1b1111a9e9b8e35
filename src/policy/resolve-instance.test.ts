/** What an adapter is handed of one exchange. */
import { describe, expect, test } from "bun:test";
import { MutableBag } from "../attribute/bag.ts";
import { Fault } from "../attribute/fault.ts";
import { parseTimestamp } from "../attribute/timestamp.ts";
import type { TypedValue, Value } from "../attribute/value.ts";
import { resolveSample } from "../testing/policy-sample.ts";
import type { ResolvedInstance, ResolvedPolicy } from "./resolved-policy.ts";

const time = parseTimestamp("2026-01-02T03:04:05Z")!;
const ip = Uint8Array.of(10, 0, 0, 1);
const exchange: Readonly<Record<string, TypedValue>> = {
  "source.name": { type: "STRING", value: "web" },
  "source.ip": { type: "IP_ADDRESS", value: ip },
  "request.path": { type: "STRING", value: "/a" },
  "request.time": { type: "TIMESTAMP", value: time },
  "request.headers": { type: "STRING_MAP", value: new Map([["x-user", "me"]]) },
  "response.code": { type: "INT64", value: 200 },
  "response.duration": { type: "DURATION", value: 5_000_000 },
};

function bagOf({ vocabulary }: ResolvedPolicy, values = exchange): MutableBag {
  const bag = new MutableBag(vocabulary);
  for (const [name, value] of Object.entries(values)) bag.setTyped(name, value);
  return bag;
}

/** The adapter takes any of the templates of these tests. */
function single(template: string, params: string, more = ""): [ResolvedInstance, ResolvedPolicy] {
  const handler = template === "authorization" || template === "listentry" ? "deny" : "takes";
  const adapter = /kubernetes|logentry|tracespan/.test(template) ? "pods" : "limits";
  const { policy, problems } = resolveSample(`
kind: handler
metadata: { name: takes }
spec: { compiledAdapter: ${adapter} }
---
kind: instance
metadata: { name: i }
spec:
  compiledTemplate: ${template}
  params: ${params}
${more}
---
kind: rule
metadata: { name: r }
spec: { actions: [{ handler: ${handler}, instances: [i] }] }
`);
  expect(problems).toEqual([]);
  return [policy.rules[0]!.actions[0]!.instances[0]!, policy];
}

const named = { name: "i.instance.default" };

describe("an instance", () => {
  const cases: readonly (readonly [title: string, template: string, params: string, object])[] = [
    ["without fields", "checknothing", "{}", {}],
    [
      "with a value of any type",
      "listentry",
      "{ value: response.code }",
      {
        value: { type: "INT64", value: 200 },
      },
    ],
    ["with what is left out", "metric", '{ value: "", dimensions: { a: "" } }', { dimensions: {} }],
    [
      "with a map of values",
      "quota",
      "{ dimensions: { a: source.name, b.c: source.ip } }",
      {
        dimensions: {
          a: { type: "STRING", value: "web" },
          "b.c": { type: "IP_ADDRESS", value: ip },
        },
      },
    ],
    [
      "with fields of fixed types",
      "logentry",
      `{ severity: '"info"', timestamp: request.time, monitored_resource_type: '"x"' }`,
      { severity: "info", timestamp: time, monitoredResourceType: "x" },
    ],
    [
      "with fields of fields",
      "authorization",
      `
    subject: { user: 'request.headers["x-user"]', properties: { took: response.duration } }
    action: { path: request.path }`,
      {
        subject: { user: "me", properties: { took: { type: "DURATION", value: 5_000_000 } } },
        action: { path: "/a" },
      },
    ],
    [
      "in the spelling of the wire",
      "tracespan",
      "{ trace_id: source.name, http_status_code: response.code }",
      { traceId: "web", httpStatusCode: 200 },
    ],
    [
      "in the spelling of JSON",
      "tracespan",
      "{ traceId: source.name, httpStatusCode: response.code }",
      { traceId: "web", httpStatusCode: 200 },
    ],
  ];
  test.each(cases)("%s", (_, template, params, fields) => {
    const [instance, policy] = single(template, params);
    expect(instance.build(bagOf(policy))).toStrictEqual({ template, ...named, ...fields } as never);
  });

  test("knows what it reads", () => {
    const [instance, { vocabulary }] = single(
      "authorization",
      "{ subject: { user: source.name | request.path, properties: { a: source.ip } } }",
    );
    const names = [...instance.reads].map((slot) => vocabulary.attributes[slot]!.name);
    expect(names.sort()).toEqual(["request.path", "source.ip", "source.name"]);
  });

  test("has a fault where a field has no value, however deep", () => {
    for (const params of [
      "{ value: source.name }",
      "{ value: '1', dimensions: { a: source.name } }",
    ]) {
      const [instance, policy] = single("metric", params);
      const fault = instance.build(bagOf(policy, {}));
      expect(fault).toEqual(new Fault("lookup failed: 'source.name'"));
    }
  });

  test("that reads nothing is made once", () => {
    const [instance, policy] = single("metric", "{ value: '1' }");
    expect(instance.build(bagOf(policy))).toBe(instance.build(bagOf(policy, {})));
  });

  test("has what is always the same in one form", () => {
    const [instance, policy] = single("metric", "{ value: '1', dimensions: { a: source.name } }");
    const [a, b] = [instance.build(bagOf(policy)), instance.build(bagOf(policy))];
    expect(a).not.toBe(b);
    expect("value" in a && "value" in b && a.value === b.value).toBe(true);
  });

  test("that reads something is made anew: adapters keep what they are handed", () => {
    const [instance, policy] = single("metric", "{ value: response.code }");
    expect(instance.build(bagOf(policy))).not.toBe(instance.build(bagOf(policy)));
  });
});

describe("what a generator's output is bound to", () => {
  const bindings = `  attributeBindings:
    source.name: $out.source_pod_name | $out.sourceOwner | request.path
    source.labels: $out.source_labels`;
  const cases: readonly (readonly [string, Readonly<Record<string, Value>>, Value | Fault])[] = [
    ["the output", { sourcePodName: "pod" }, "pod"],
    ["another of its fields, where the first is absent", { sourceOwner: "owner" }, "owner"],
    ["what the exchange has, where the output has nothing", {}, "/a"],
  ];
  test.each(cases)("%s", (_, output, value) => {
    const [{ bindings: bound, reads }, policy] = single("kubernetes", "{}", bindings);
    const [name] = bound;
    expect(policy.vocabulary.attributes[name!.slot]!.name).toBe("source.name");
    expect(name!.evaluate(output, bagOf(policy))).toEqual(value);
    expect(reads).toEqual(new Set([policy.vocabulary.find("request.path")!.slot]));
  });

  test("nothing, where nobody has a value", () => {
    const [{ bindings: bound }, policy] = single("kubernetes", "{}", bindings);
    expect(bound[0]!.evaluate({}, bagOf(policy, {}))).toBeInstanceOf(Fault);
    expect(bound[1]!.evaluate({}, bagOf(policy))).toBeInstanceOf(Fault);
  });
});
