/** Policy with mistakes, what the operator is told, and where parts stand. */
import { describe, expect, test } from "bun:test";
import { formatProblem } from "../../core/problem.ts";
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

const complaints: readonly (readonly [title: string, text: string, told: readonly string[]])[] = [
  [
    "numbers and booleans where an expression is meant",
    document("metric", '\n  value: 1\n  dimensions: { a: true, b: "1" }'),
    [
      'p.yaml:5:10: spec.value: must be a text, not the number 1 (write "1")',
      'p.yaml:6:20: spec.dimensions.a: must be a text, not the boolean true (write "true")',
    ],
  ],
  [
    "a match that YAML takes for a boolean",
    document("rule", "\n  match: true"),
    ['p.yaml:5:10: spec.match: must be a text, not the boolean true (write "true")'],
  ],
  [
    "fields that nobody knows",
    document("rule", "\n  mtach: a\n  actions:\n  - handler: h\n    instance: [a]"),
    [
      "p.yaml:5:3: spec.mtach: unknown field (did you mean match?)",
      "p.yaml:8:5: spec.actions[0].instance: unknown field (did you mean instances?)",
    ],
  ],
  [
    "an operation that nobody knows",
    document("rule", " { responseHeaderOperations: [{ name: x-a, operation: NOPE }] }"),
    [
      "p.yaml:4:60: spec.responseHeaderOperations[0].operation: " +
        'must be one of REPLACE, REMOVE, APPEND, not "NOPE"',
    ],
  ],
  [
    "headers that cannot be",
    document(
      "rule",
      ' { requestHeaderOperations: [{ name: "a b" }, { values: [] },\n' +
        "    { name: Content-Length, operation: APPEND }, { name: ':path', values: ['\"/\"'] },\n" +
        "    { name: ':path', operation: REMOVE }, { name: ':method' }],\n" +
        "    responseHeaderOperations: [{ name: ':path' }] }",
    ),
    [
      'p.yaml:4:43: spec.requestHeaderOperations[0].name: "a b" is not a header name',
      "p.yaml:4:52: spec.requestHeaderOperations[1].name: must not be empty",
      'p.yaml:5:13: spec.requestHeaderOperations[2].name: "content-length" ' +
        "cannot be appended: the proxy says it itself",
      'p.yaml:6:13: spec.requestHeaderOperations[4].name: ":path" is not a header name',
      'p.yaml:6:51: spec.requestHeaderOperations[5].name: ":method" is not a header name',
      'p.yaml:7:40: spec.responseHeaderOperations[0].name: ":path" is not a header name',
    ],
  ],
  [
    "an action without a handler",
    document("rule", "\n  actions:\n  - instances: [a]"),
    ["p.yaml:6:5: spec.actions[0]: must have a handler"],
  ],
  [
    "a handler that says nothing of its adapter",
    document("handler", " { params: {} }"),
    ["p.yaml:4:7: spec: must have a compiledAdapter"],
  ],
  [
    "a handler with two adapters",
    document("handler", " { compiledAdapter: a, adapter: b }"),
    ["p.yaml:4:38: spec.adapter: must not stand beside compiledAdapter"],
  ],
  [
    "a connection to nowhere",
    document("handler", " { adapter: a, connection: { timeout: 1s } }"),
    ["p.yaml:4:33: spec.connection.address: must be an address: host:port or a URL"],
  ],
  [
    "a parameter that is no number",
    document("denier", " { validUseCount: .nan }"),
    ["p.yaml:4:24: spec.validUseCount: must be a text, a number, true or false"],
  ],
  [
    "parameters that are a list",
    document("denier", "\n  - a"),
    ["p.yaml:5:3: spec: must be a map of fields (remove the dash)"],
  ],
  [
    "a field of an instance that is a list",
    document("quota", " { dimensions: [a] }"),
    ["p.yaml:4:21: spec.dimensions: must be a text, not a list"],
  ],
  [
    "a field in two spellings",
    document("apikey", "\n  apiKey: a\n  api_key: b"),
    ["p.yaml:6:3: spec.api_key: is given twice: it is another spelling of apiKey"],
  ],
  [
    "attributes that cannot be",
    document(
      "attributemanifest",
      "\n  attributes:\n    a.b: {}\n    a-b: { valueType: STRING }\n    c: { valueType: STRNG }",
    ),
    [
      'p.yaml:6:10: spec.attributes["a.b"].valueType: must be given',
      'p.yaml:7:10: spec.attributes.a-b: no expression can name "a-b"',
      "p.yaml:8:21: spec.attributes.c.valueType: must be one of VALUE_TYPE_UNSPECIFIED, STRING, " +
        "INT64, DOUBLE, BOOL, TIMESTAMP, IP_ADDRESS, EMAIL_ADDRESS, URI, DNS_NAME, DURATION, " +
        'STRING_MAP, not "STRNG" (did you mean STRING?)',
    ],
  ],
  [
    "a sample of more than all",
    document("rule", " { sampling: { random: { percentSampled: { numerator: 101 } } } }"),
    [
      "p.yaml:4:60: warning: spec.sampling.random.percentSampled.numerator: " +
        "counts as 100: there are no more parts",
    ],
  ],
  [
    "a sample without a time",
    document("rule", " { sampling: { rateLimit: { samplingRate: 1 } } }"),
    ["p.yaml:4:32: spec.sampling.rateLimit.samplingDuration: must be longer than 0s"],
  ],
  [
    "a clause with two conditions",
    document(
      "QuotaSpec",
      " { rules: [{ match: [{ clause: { a: { exact: c, prefix: b } } }], quotas: [{}] }] }",
    ),
    [
      "p.yaml:4:42: spec.rules[0].match[0].clause.a: " +
        "must have exactly one of exact, prefix and regex, not 2",
      "p.yaml:4:81: spec.rules[0].quotas[0]: must have a quota",
    ],
  ],
  [
    "bindings of nothing",
    document("QuotaSpecBinding", " { quotaSpecs: [{}] }"),
    [
      "p.yaml:4:7: spec.services: must have services",
      "p.yaml:4:22: spec.quotaSpecs[0]: must have a name",
    ],
  ],
  [
    "an API's pattern and key of two kinds",
    document(
      "HTTPAPISpec",
      " { patterns: [{ attributes: { attributes: { a: { stringValue: b } } }, httpMethod: GET," +
        "\n   uriTemplate: /a, regex: b }], apiKeys: [{ query: a, header: b }] }",
    ),
    [
      "p.yaml:4:20: spec.patterns[0]: must have either a uriTemplate or a regex",
      "p.yaml:5:44: spec.apiKeys[0]: must have exactly one of query, header and cookie, not 2",
    ],
  ],
  [
    "a binding of nothing to nobody",
    document("HTTPAPISpecBinding", " { services: [], apiSpecs: [] }"),
    [
      "p.yaml:4:19: spec.services: must have services",
      "p.yaml:4:33: spec.apiSpecs: must have apiSpecs",
    ],
  ],
  [
    "a binding to a namespace that is none",
    document(
      "QuotaSpecBinding",
      " { services: [{ name: a }], quotaSpecs: [{ name: b, namespace: -c }] }",
    ),
    [
      'p.yaml:4:69: spec.quotaSpecs[0].namespace: "-c" must be of lower-case letters, ' +
        "digits and inner dashes",
    ],
  ],
  [
    "an API without a pattern",
    document("HTTPAPISpec", " { apiKeys: [{ query: a }] }"),
    ["p.yaml:4:7: spec.patterns: must have a pattern"],
  ],
  [
    "a pattern that says nothing, and keys without a name",
    document(
      "HTTPAPISpec",
      " { patterns: [{}, { httpMethod: '', regex: '', attributes: {} }], " +
        "apiKeys: [{ cookie: '' }] }",
    ),
    [
      "p.yaml:4:20: spec.patterns[0]: must have attributes: it gives no others",
      "p.yaml:4:20: spec.patterns[0]: must have an httpMethod",
      "p.yaml:4:20: spec.patterns[0]: must have either a uriTemplate or a regex",
      "p.yaml:4:38: spec.patterns[1].httpMethod: must not be empty",
      "p.yaml:4:49: spec.patterns[1].regex: must not be empty",
      "p.yaml:4:65: spec.patterns[1].attributes: must have attributes",
      "p.yaml:4:92: spec.apiKeys[0].cookie: must not be empty",
    ],
  ],
  [
    "constants that are none",
    document(
      "HTTPAPISpec",
      `
  attributes:
    attributes:
      a: {}
      b: { stringValue: "" }
      c: { bytesValue: "%" }
      d: { timestampValue: yesterday }
      e: { durationValue: soon }
      f: { stringMapValue: {} }
      g: { stringValue: a, int64Value: 1 }
  patterns: []`,
    ),
    [
      "p.yaml:7:10: spec.attributes.attributes.a: " +
        "must have exactly one value, such as a stringValue, not 0",
      "p.yaml:8:25: spec.attributes.attributes.b.stringValue: must not be empty",
      "p.yaml:9:24: spec.attributes.attributes.c.bytesValue: must be in base64",
      "p.yaml:10:28: spec.attributes.attributes.d.timestampValue: " +
        'must be a point in time such as "2026-01-02T15:04:05Z", not "yesterday"',
      "p.yaml:11:27: spec.attributes.attributes.e.durationValue: " +
        'must be a duration such as "2.5s", not "soon"',
      "p.yaml:12:28: spec.attributes.attributes.f.stringMapValue: must have entries",
      "p.yaml:13:10: spec.attributes.attributes.g: " +
        "must have exactly one value, such as a stringValue, not 2",
      "p.yaml:14:13: spec.patterns: must have a pattern",
    ],
  ],
  [
    "quotas that are charged to nobody",
    document(
      "QuotaSpec",
      " { rules: [{}, { quotas: [] }, { match: [{ clause: { a: { exact: '' } } }], " +
        "quotas: [{ quota: '', charge: -1 }] }] }",
    ),
    [
      "p.yaml:4:17: spec.rules[0].quotas: must have a quota, or nothing is charged",
      "p.yaml:4:31: spec.rules[1].quotas: must have a quota, or nothing is charged",
      "p.yaml:4:71: spec.rules[2].match[0].clause.a.exact: must not be empty",
      "p.yaml:4:100: spec.rules[2].quotas[0].quota: must not be empty",
      "p.yaml:4:112: spec.rules[2].quotas[0].charge: " +
        `must be between 0 and ${Number.MAX_SAFE_INTEGER}, not -1`,
    ],
  ],
  [
    "a QuotaSpec without rules",
    document("QuotaSpec", " { rules: [] }"),
    ["p.yaml:4:16: spec.rules: must have a rule"],
  ],
  [
    "credentials of a connection, which are not used yet",
    document(
      "handler",
      ' { adapter: a, connection: { address: "a:1", authentication: { tls: {} } } }',
    ),
    [
      "p.yaml:4:67: spec.connection.authentication: " +
        "is not supported yet: leave it out to connect without",
    ],
  ],
];

describe("what is wrong, and what the operator is told", () => {
  test.each(complaints)("%s", (_, text, expected) => {
    const { configs, problems } = read(text);
    expect(problems.map(formatProblem)).toEqual([...expected]);
    const isRefused = problems.some(({ severity }) => severity === "error");
    expect(configs.length).toBe(isRefused ? 0 : 1);
  });

  const nested = (levels: number): string => ` ${"{ a: ".repeat(levels)}b${" }".repeat(levels)}`;

  test.each([
    ["opa", 31, []],
    ["opa", 32, ["nests deeper than 32 levels"]],
    ["authorization", 4, []],
    ["authorization", 5, ["nests deeper than 4 levels"]],
  ])("%s that nests %i levels deep", (kind, levels, expected) => {
    const { problems } = read(document(kind, nested(levels)));
    expect(problems.map(({ message }) => message)).toEqual([...expected]);
  });
});

describe("where expressions begin", () => {
  const at = (value: string): string => {
    const { configs } = read(document("listentry", `\n  value: ${value}\n`));
    const [config] = configs;
    if (config?.kind !== "instance") return "nothing";
    const { value: found } = config.spec.fields;
    if (typeof found?.source !== "string" || !("at" in found)) return "nothing";
    const { line, column } = found.at as { readonly line: number; readonly column: number };
    return `${line}:${column} ${JSON.stringify(found.source)}`;
  };

  test.each([
    ["a.b", '5:10 "a.b"'],
    ['"a.b"', '5:11 "a.b"'],
    ["'\"a\"'", '5:11 "\\"a\\""'],
    ["!!str a", '5:16 "a"'],
    ['&x "a"', '5:14 "a"'],
    ["|\n\n      a.b |\n      c", '7:7 "\\na.b |\\nc\\n"'],
    [">-\n    a.b", '6:5 "a.b"'],
  ])("%j", (value, expected) => {
    expect(at(value)).toBe(expected);
  });
});

describe("where parts stand", () => {
  test("of parameters", () => {
    const { configs } = read(
      document(
        "memquota",
        '\n  quotas:\n  - name: b\n    overrides:\n    - dimensions: { "a.b": c }',
      ),
    );
    const [config] = configs;
    if (config?.kind !== "handler") throw new Error("no handler");
    const positions = Object.entries(config.spec.parameters.positions).map(
      ([path, { line, column }]) => `${path} ${line}:${column}`,
    );
    expect(positions).toEqual([
      " 5:3",
      "quotas 6:3",
      "quotas[0] 6:5",
      "quotas[0].name 6:11",
      "quotas[0].overrides 8:5",
      "quotas[0].overrides[0] 8:7",
      "quotas[0].overrides[0].dimensions 8:19",
      'quotas[0].overrides[0].dimensions["a.b"] 8:28',
    ]);
  });

  test("of an instance's fields: their names, since it is those that are misspelt", () => {
    const { configs } = read(
      document("authorization", "\n  subject:\n    properties: { app: a }\n  acton: { path: b }"),
    );
    const [config] = configs;
    if (config?.kind !== "instance") throw new Error("no instance");
    const positions = Object.entries(config.spec.positions).map(
      ([path, { line, column }]) => `${path} ${line}:${column}`,
    );
    expect(positions).toEqual([
      "subject 5:3",
      "subject.properties 6:5",
      "subject.properties.app 6:19",
      "acton 7:3",
      "acton.path 7:12",
    ]);
  });
});
