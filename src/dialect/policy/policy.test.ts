/** Policy as operators write it, in every form it ever had ─▶ the model. */
import { describe, expect, test } from "bun:test";
import { configKey } from "../../model/config.ts";
import { readDocuments } from "../read.ts";

function read(text: string) {
  return readDocuments(text, { file: "p.yaml", namespace: "shop" });
}

const document = (kind: string, spec: string): string =>
  `apiVersion: config.istio.io/v1alpha2
kind: ${kind}
metadata: { name: x }
spec:${spec}
`;

/** Places left out: they have tests of their own. */
function placeless(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(placeless);
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Uint8Array || value instanceof Map) return value;
  const record = value as Readonly<Record<string, unknown>>;
  if (typeof record.source === "string" && typeof record.at === "object") return record.source;
  return Object.fromEntries(
    Object.entries(record)
      .filter(([key, inner]) => key !== "positions" && !isPlace(inner))
      .map(([key, inner]) => [key, placeless(inner)]),
  );
}

function isPlace(value: unknown): boolean {
  return typeof value === "object" && value !== null && "column" in value;
}

const always = {
  match: undefined,
  actions: [],
  requestHeaders: [],
  responseHeaders: [],
  failPolicy: "closed",
};
const told = { name: "", charge: 0 };

const specs: readonly (readonly [title: string, text: string, key: string, spec: unknown])[] = [
  [
    "a rule that tells two handlers",
    document(
      "rule",
      `
  match: request.method == "GET" && destination.labels["app"] == "web"
  actions:
  - handler: h.denier
    instances: [a.checknothing, b]
    name: deny
  - handler: log
    instances:
    - access.logentry.istio-system`,
    ),
    "rule/shop/x",
    {
      ...always,
      match: 'request.method == "GET" && destination.labels["app"] == "web"',
      actions: [
        {
          ...told,
          name: "deny",
          handler: { name: "h.denier" },
          instances: [{ name: "a.checknothing" }, { name: "b" }],
        },
        {
          ...told,
          handler: { name: "log" },
          instances: [{ name: "access.logentry.istio-system" }],
        },
      ],
    },
  ],
  ["an empty match is none", document("rule", ' { match: "" }'), "rule/shop/x", always],
  [
    "header operations, with an old spelling of their names",
    document(
      "rule",
      ` { request_header_operations: [{ name: X-User, values: ['"jason"', a.output.user] }],
         responseHeaderOperations: [{ name: server, operation: REMOVE },
                                    { name: via, values: ['"m"'], operation: APPEND }] }`,
    ),
    "rule/shop/x",
    {
      ...always,
      requestHeaders: [
        { name: "x-user", values: ['"jason"', "a.output.user"], operation: "replace" },
      ],
      responseHeaders: [
        { name: "server", values: [], operation: "remove" },
        { name: "via", values: ['"m"'], operation: "append" },
      ],
    },
  ],
  [
    "a sample of ten per cent by chance",
    document(
      "rule",
      " { sampling: { random: { percentSampled: { numerator: 10 }, " +
        "useIndependentRandomness: true } } }",
    ),
    "rule/shop/x",
    {
      ...always,
      sampling: { by: "random", share: 0.1, denominator: 100, independent: true },
    },
  ],
  [
    "a sample whose rate is a fact of the request",
    document(
      "rule",
      ` { sampling: { random: { attribute_expression: request.size,
                                percent_sampled: { numerator: 5, denominator: TEN_THOUSAND } } } }`,
    ),
    "rule/shop/x",
    {
      ...always,
      sampling: {
        by: "random",
        attribute: "request.size",
        share: 0.0005,
        denominator: 10_000,
        independent: false,
      },
    },
  ],
  [
    "a sample of one in ten after the first hundred of each second",
    document(
      "rule",
      ` { sampling: { rateLimit: { samplingDuration: 1s, maxUnsampledEntries: 100,
                                   samplingRate: 10 } } }`,
    ),
    "rule/shop/x",
    { ...always, sampling: { by: "rate", windowMs: 1_000, unsampledMax: 100, rate: 10 } },
  ],
  [
    "a sample that both have to take",
    document(
      "rule",
      ` { sampling: { random: { percentSampled: { numerator: 50 } },
                      rateLimit: { samplingDuration: 1s, maxUnsampledEntries: 5 } } }`,
    ),
    "rule/shop/x",
    {
      ...always,
      sampling: {
        by: "both",
        random: { by: "random", share: 0.5, denominator: 100, independent: false },
        rate: { by: "rate", windowMs: 1_000, unsampledMax: 5, rate: 0 },
      },
    },
  ],
  [
    "ours: handler and instance in place of their names, a charge, and a rule that fails open",
    document(
      "rule",
      `
  failPolicy: open
  actions:
  - handler:
      compiledAdapter: memquota
      params: { quotas: [{ name: "x[0][0].instance.shop", maxAmount: 5, validDuration: 1s }] }
    instances:
    - compiledTemplate: quota
      params: { dimensions: { user: 'request.headers["x-user"]' } }
    charge: 2`,
    ),
    "rule/shop/x",
    {
      ...always,
      failPolicy: "open",
      actions: [
        {
          name: "",
          charge: 2,
          handler: {
            writtenKind: "handler",
            adapter: "memquota",
            parameters: {
              json:
                '{"quotas":[{"name":"x[0][0].instance.shop","maxAmount":5,' +
                '"validDuration":"1s"}]}',
            },
          },
          instances: [
            {
              writtenKind: "instance",
              template: "quota",
              fields: { dimensions: { user: 'request.headers["x-user"]' } },
              attributeBindings: {},
            },
          ],
        },
      ],
    },
  ],
  [
    "a handler with everything, and ours: a time limit and a fail policy",
    document(
      "handler",
      ` { adapter: webhook, params: { url: "http://a/", maxEntries: 3, on: true, none: null },
         connection: { address: "a:80", timeout: 2s }, timeout: 0.5s, failPolicy: open }`,
    ),
    "handler/shop/x",
    {
      writtenKind: "handler",
      adapter: "webhook",
      parameters: { json: '{"url":"http://a/","maxEntries":3,"on":true}' },
      connection: { address: "a:80", timeoutMs: 2_000 },
      timeoutMs: 500,
      failPolicy: "open",
    },
  ],
  [
    "a handler without parameters",
    document("handler", " { compiledAdapter: noop }"),
    "handler/shop/x",
    { writtenKind: "handler", adapter: "noop", parameters: { json: "{}" } },
  ],
  [
    "the older kind of a handler",
    document("denier", " { status: { code: 7, message: no } }"),
    "denier/shop/x",
    {
      writtenKind: "denier",
      adapter: "denier",
      parameters: { json: '{"status":{"code":7,"message":"no"}}' },
    },
  ],
  [
    "the older kind of a handler, with nothing to say",
    document("stdio", ""),
    "stdio/shop/x",
    { writtenKind: "stdio", adapter: "stdio", parameters: { json: "{}" } },
  ],
  [
    "parameters that repeat others by reference",
    document("memquota", "\n  quotas:\n  - &a { name: b, maxAmount: 1 }\n  - { <<: *a, name: c }"),
    "memquota/shop/x",
    {
      writtenKind: "memquota",
      adapter: "memquota",
      parameters: { json: '{"quotas":[{"name":"b","maxAmount":1},{"name":"c","maxAmount":1}]}' },
    },
  ],
  [
    "an instance of maps within maps; keys of maps are the author's own",
    document(
      "instance",
      ` { compiledTemplate: authorization,
         params: { subject: { user: source.user, properties: { is_admin: "true" } },
                   action: { method: request.method } } }`,
    ),
    "instance/shop/x",
    {
      writtenKind: "instance",
      template: "authorization",
      fields: {
        subject: { user: "source.user", properties: { is_admin: "true" } },
        action: { method: "request.method" },
      },
      attributeBindings: {},
    },
  ],
  [
    "a dimension that is called source",
    document("quota", " { dimensions: { source: source.name, at: request.time } }"),
    "quota/shop/x",
    {
      writtenKind: "quota",
      template: "quota",
      fields: { dimensions: { source: "source.name", at: "request.time" } },
      attributeBindings: {},
    },
  ],
  [
    "the older kind of an instance, of a generator, with its bindings beside the fields",
    document(
      "kubernetes",
      ` { source_uid: source.uid | "",
         attribute_bindings: { source.namespace: '$out.source_namespace | ""' } }`,
    ),
    "kubernetes/shop/x",
    {
      writtenKind: "kubernetes",
      template: "kubernetes",
      fields: { sourceUid: 'source.uid | ""' },
      attributeBindings: { "source.namespace": '$out.source_namespace | ""' },
    },
  ],
  [
    "bindings in the wrong place are a field, which whoever knows the template judges",
    document("instance", " { template: kubernetes, params: { attributeBindings: { a: b } } }"),
    "instance/shop/x",
    {
      writtenKind: "instance",
      template: "kubernetes",
      fields: { attributeBindings: { a: "b" } },
      attributeBindings: {},
    },
  ],
  [
    "the older kind of an instance, without fields",
    document("checknothing", ""),
    "checknothing/shop/x",
    { writtenKind: "checknothing", template: "checknothing", fields: {}, attributeBindings: {} },
  ],
  [
    "a manifest in both spellings",
    document(
      "attributemanifest",
      ` { revision: "1", attributes: { request.size: { valueType: INT64, description: bytes },
                                      source.ip: { value_type: IP_ADDRESS } } }`,
    ),
    "attributemanifest/shop/x",
    {
      revision: "1",
      attributes: [
        { name: "request.size", type: "INT64", description: "bytes" },
        { name: "source.ip", type: "IP_ADDRESS", description: "" },
      ],
    },
  ],
  [
    "a quota spec; what is named and not said is charged once",
    document(
      "QuotaSpec",
      `
  rules:
  - match:
    - clause: { request.path: { prefix: /a }, request.method: { exact: GET } }
    - clause: { api.operation: { regex: "get.*" } }
    quotas: [{ quota: rq, charge: 2 }, { quota: other, charge: "3" }]
  - quotas: [{ quota: rq }]`,
    ),
    "QuotaSpec/shop/x",
    {
      rules: [
        {
          match: [
            {
              "request.path": { by: "prefix", text: "/a" },
              "request.method": { by: "exact", text: "GET" },
            },
            { "api.operation": { by: "regex", pattern: "get.*" } },
          ],
          quotas: [
            { quota: "rq", charge: 2 },
            { quota: "other", charge: 3 },
          ],
        },
        { match: [], quotas: [{ quota: "rq", charge: 1 }] },
      ],
    },
  ],
  [
    "a quota spec bound to two services, and to all",
    document(
      "QuotaSpecBinding",
      ` { quota_specs: [{ name: a }, { name: b, namespace: istio-system }],
         services: [{ name: web }, { name: db, namespace: data }, { service: "*" }] }`,
    ),
    "QuotaSpecBinding/shop/x",
    {
      specs: [
        { name: "a", namespace: "shop" },
        { name: "b", namespace: "istio-system" },
      ],
      services: ["web.shop.svc.cluster.local", "db.data.svc.cluster.local", "*"],
    },
  ],
  [
    "an API",
    document(
      "HTTPAPISpec",
      `
  attributes:
    attributes:
      api.service: { stringValue: petstore }
      c: { bytesValue: CgAAAQ== }
      d: { timestampValue: "2026-01-02T15:04:05.5Z" }
      e: { durationValue: 1.5s }
      f: { stringMapValue: { entries: { a: b } } }
      g: { doubleValue: 0.5 }
  patterns:
  - attributes: { attributes: { api.operation: { stringValue: getPet }, n: { int64Value: "7" } } }
    httpMethod: GET
    uriTemplate: /pets/{id}
  - { http_method: POST, regex: "/pets.*", attributes: { attributes: { b: { boolValue: true } } } }
  api_keys: [{ query: key }, { header: x-key }, { cookie: k }]`,
    ),
    "HTTPAPISpec/shop/x",
    {
      attributes: {
        "api.service": { type: "STRING", value: "petstore" },
        c: { type: "IP_ADDRESS", value: new Uint8Array([10, 0, 0, 1]) },
        d: { type: "TIMESTAMP", value: { seconds: 1_767_366_245, nanos: 500_000_000 } },
        e: { type: "DURATION", value: 1_500_000_000 },
        f: { type: "STRING_MAP", value: new Map([["a", "b"]]) },
        g: { type: "DOUBLE", value: 0.5 },
      },
      patterns: [
        {
          method: "GET",
          path: { by: "template", template: "/pets/{id}" },
          attributes: {
            "api.operation": { type: "STRING", value: "getPet" },
            n: { type: "INT64", value: 7 },
          },
        },
        {
          method: "POST",
          path: { by: "regex", pattern: "/pets.*" },
          attributes: { b: { type: "BOOL", value: true } },
        },
      ],
      apiKeys: [
        { in: "query", name: "key" },
        { in: "header", name: "x-key" },
        { in: "cookie", name: "k" },
      ],
    },
  ],
  [
    "an API bound to a service",
    document("HTTPAPISpecBinding", " { services: [{ name: web }], apiSpecs: [{ name: pets }] }"),
    "HTTPAPISpecBinding/shop/x",
    {
      specs: [{ name: "pets", namespace: "shop" }],
      services: ["web.shop.svc.cluster.local"],
    },
  ],
];

describe("what is written, and what it means", () => {
  test.each(specs)("%s", (_, text, key, spec) => {
    const { configs, problems } = read(text);
    expect(problems).toEqual([]);
    expect(configs.map(configKey)).toEqual([key]);
    expect(placeless(configs[0]!.spec)).toEqual(spec);
  });

  test("a handler of an older kind is another one than a handler of that name", () => {
    const { configs } = read(
      `${document("denier", "")}---\n${document("handler", " { compiledAdapter: denier }")}`,
    );
    expect(configs.map(configKey)).toEqual(["denier/shop/x", "handler/shop/x"]);
    expect(configs.map(({ kind }) => kind)).toEqual(["handler", "handler"]);
  });
});
