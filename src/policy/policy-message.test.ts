/** Policy that was sent is the policy that was declared, with every place. */
import { expect, test } from "bun:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { PolicyConfigSchema } from "../api/gen/mesh/v1/policy_pb.ts";
import { declaredPolicy, policySetOf } from "../dialect/policy/policy-set.ts";
import { standardManifests } from "../dialect/policy/standard-manifest.ts";
import { readDocuments } from "../dialect/read.ts";
import type { PolicySet } from "../model/policy-set.ts";
import { policyFromMessage, policyToMessage } from "./policy-message.ts";

const everything = `
kind: attributemanifest
metadata: { name: mine }
spec: { revision: "1", attributes: { a: { valueType: DURATION, description: b } } }
---
kind: handler
metadata: { name: h }
spec:
  compiledAdapter: memquota
  params: { quotas: [{ name: q, maxAmount: 5 }], "a.b": [1, true, null] }
  connection: { address: "a:1", timeout: 1s }
  timeout: 3s
  failPolicy: open
---
kind: denier
metadata: { name: h }
spec: { status: { code: 7 } }
---
kind: kubernetes
metadata: { name: i }
spec: { source_uid: source.uid, attribute_bindings: { source.namespace: $out.source_namespace } }
---
kind: instance
metadata: { name: i }
spec:
  compiledTemplate: authorization
  params:
    subject: { user: "", properties: { source: a, at: b, "2": c, "1": d, __proto__: e } }
---
kind: rule
metadata: { name: r }
spec:
  match: a == "b"
  failPolicy: open
  sampling: { random: { attributeExpression: request.size, useIndependentRandomness: true,
                        percentSampled: { numerator: 1, denominator: TEN_THOUSAND } } }
  rateLimit: [100/s by source.user, 5/m rolling at redis://r:1]
  actions:
  - { name: x, handler: h.denier, instances: [i.instance] }
  - { handler: { adapter: noop, failPolicy: closed }, instances: [{ template: checknothing }] }
  requestHeaderOperations: [{ name: x-a, values: ['"b"', c], operation: APPEND }]
  responseHeaderOperations: [{ name: x-a, operation: REMOVE }, { name: x-b, values: ['"b"'] }]
---
kind: rule
metadata: { name: s }
spec: { sampling: { rateLimit: { samplingDuration: 1s, maxUnsampledEntries: 9007199254740991,
                                 samplingRate: 2 } } }
---
kind: rule
metadata: { name: t }
spec: { sampling: { rateLimit: { samplingDuration: 1s, maxUnsampledEntries: 3 },
                    random: { percentSampled: { numerator: 1 } } } }
---
kind: QuotaSpec
metadata: { name: q }
spec:
  rules:
  - match: [{ clause: { a: { exact: z }, b: { prefix: c } } }, { clause: { d: { regex: e } } }]
    quotas: [{ quota: q, charge: 9007199254740991 }, { quota: p, charge: 0 }]
---
kind: QuotaSpecBinding
metadata: { name: q }
spec: { services: [{ name: web }, { service: "*" }], quotaSpecs: [{ name: q }] }
---
kind: HTTPAPISpec
metadata: { name: api }
spec:
  attributes: { attributes: { a: { stringValue: z }, b: { int64Value: -9007199254740991 },
                              e: { bytesValue: CgAAAQ== }, f: { durationValue: -1.5s },
                              g: { timestampValue: "0001-01-01T00:00:00.000000001Z" },
                              h: { stringMapValue: { entries: { x: y, "": "" } } } } }
  patterns: [{ httpMethod: GET, uriTemplate: "/{x}",
               attributes: { attributes: { i: { boolValue: true } } } },
             { httpMethod: PUT, regex: y,
               attributes: { attributes: { c: { doubleValue: 0.5 }, d: { boolValue: false } } } }]
  apiKeys: [{ query: a }, { header: b }, { cookie: c }]
---
kind: HTTPAPISpecBinding
metadata: { name: api }
spec: { services: [{ name: web }], apiSpecs: [{ name: api }] }
`.replaceAll("kind:", "apiVersion: config.istio.io/v1alpha2\nkind:");

function declared(text: string): PolicySet {
  const { configs, problems } = readDocuments(text, { file: "p.yaml", namespace: "shop" });
  expect(problems).toEqual([]);
  return declaredPolicy(configs);
}

function sent(set: PolicySet): PolicySet {
  const bytes = toBinary(PolicyConfigSchema, policyToMessage(set));
  return policyFromMessage(fromBinary(PolicyConfigSchema, bytes));
}

test("everything that can be declared", () => {
  const set = declared(everything);
  expect(Object.values(set).map(({ length }) => length)).toEqual([1, 2, 2, 3, 1, 1, 1, 1]);
  expect(sent(set)).toEqual({ ...set, manifests: [...standardManifests, ...set.manifests] });
});

test("maps keep their order", () => {
  const { fields } = sent(declared(everything)).instances[0]!.spec;
  const { properties = {} } = fields.subject as { properties?: object };
  // Digits come first in every object.
  expect(Object.keys(properties)).toEqual(["1", "2", "source", "at", "__proto__"]);
});

test("the standard manifests are not sent, and are there", () => {
  expect(policyToMessage(declaredPolicy([]))).toEqual(create(PolicyConfigSchema, {}));
  expect(sent(declaredPolicy([]))).toEqual(policySetOf([]));
});

test("what is missing in a message is empty, never a fault", () => {
  const message = create(PolicyConfigSchema, {
    manifests: [{ attributes: [{ name: "a", type: 99 }] }],
    handlers: [{}],
    instances: [{ spec: { fields: [{ name: "a" }] } }],
    rules: [{ actions: [{ instances: [{}] }] }],
    quotaSpecs: [{ rules: [{ match: [{ clauses: [{ attribute: "a" }] }] }] }],
    quotaSpecBindings: [{ specs: [{}] }],
    httpApiSpecs: [{ attributes: [{ name: "a" }], patterns: [{}], apiKeys: [{}] }],
  });
  const at = { file: "", line: 0, column: 0 };
  const { handlers, instances, rules, quotaSpecs, httpApiSpecs } = policyFromMessage(message);
  expect(handlers[0]?.spec.parameters).toEqual({ json: "{}", positions: {} });
  expect(instances[0]?.spec.fields).toEqual({ a: { source: "", at } });
  expect(rules[0]?.spec).toMatchObject({
    match: undefined,
    actions: [{ handler: { name: "", at }, instances: [], charge: 0 }],
    failPolicy: "closed",
  });
  expect(quotaSpecs[0]?.spec.rules[0]?.match).toEqual([
    { a: { by: "regex", pattern: "[^\\s\\S]" } },
  ]);
  expect(httpApiSpecs[0]?.spec).toEqual({ attributes: {}, patterns: [], apiKeys: [] });
});
