/** Policy of Istio 0.1, as its manual printed it ─▶ rules of today. */
import { describe, expect, test } from "bun:test";
import { Vocabulary } from "../../../attribute/vocabulary.ts";
import { formatProblem, isError } from "../../../core/problem.ts";
import { compileExpression } from "../../../expression/expression.ts";
import { configKey } from "../../../model/config.ts";
import type { Handler } from "../../../model/handler.ts";
import { type Instance, type InstanceFields, isExpressionText } from "../../../model/instance.ts";
import { readDocuments } from "../../read.ts";
import { validateSet } from "../../validate-set.ts";
import { declaredPolicy } from "../policy-set.ts";
import { standardManifests } from "../standard-manifest.ts";
import { expressionToday } from "./aspect-expression.ts";

function read(...documents: readonly string[]) {
  const text = documents.join("---\n");
  const { configs, problems } = readDocuments(text, { file: "a.yaml", namespace: "default" });
  const errors = [...problems, ...validateSet(configs, {})].filter(isError);
  return { configs, problems: errors.map(formatProblem) };
}

const adapters = `
adapters:
- { name: default, kind: quotas, impl: memQuota, params: { min_deduplication_duration: 2s } }
- { name: default, impl: stdioLogger, params: { logStream: 1 } }
- { name: default, kind: metrics, impl: statsd, params: { address: "s:8125" } }
- { name: prometheus, kind: metrics, impl: prometheus }
- { name: default, kind: denials, impl: istio/denyChecker, params: { error: { code: 7 } } }
- { name: default, kind: lists, impl: genericListChecker, params: { list_entries: [a, b] } }
- { name: ips, kind: lists, impl: ipListChecker, params: { provider_url: "http://l/" } }
- { name: default, kind: attributes, impl: kubernetes }
metrics:
- { name: request_count, kind: 2, value: 2, description: Requests., labels: { source: 1 } }
- name: latency
  kind: DISTRIBUTION
  value: DURATION
  buckets: { linear_buckets: { num_finite_buckets: 2, width: 1, offset: 0 } }
quotas:
- { name: RequestCount, rate_limit: true }
logs:
- name: accesslog.common
  payload_format: TEXT
  log_template: "{{.method}}"
  labels: { method: STRING }
`;

const rules = (aspect: string, subject = "global", selector = ""): string =>
  `subject: ${subject}\nrules:\n- selector: ${selector}\n  aspects:\n  - ${aspect}\n`;

/** "adapter {parameters} ← template {fields}" of each rule, and its match. */
function rulesOf(...documents: readonly string[]) {
  const { configs, problems } = read(adapters, ...documents);
  expect(problems).toEqual([]);
  return declaredPolicy(configs).rules.map(({ name, namespace, spec }) => {
    const [action] = spec.actions;
    const { adapter, parameters } = action!.handler as Handler;
    const compiled = compileExpression(spec.match!.source, vocabulary);
    expect(compiled).toMatchObject({ ok: true, expression: { type: "BOOL" } });
    const told = (action!.instances as readonly Instance[]).map(
      ({ template, fields, attributeBindings: bound }) =>
        `${template} ${JSON.stringify(plain(fields))}${JSON.stringify(plain(bound))}`,
    );
    return {
      rule: `${namespace}/${name}`,
      match: spec.match!.source,
      asks: `${adapter} ${parameters.json} ← ${told.join(", ").replaceAll("{}{}", "{}")}`,
    };
  });
}

function plain(fields: InstanceFields): unknown {
  return Object.fromEntries(
    Object.entries(fields).map(([key, one]) => [
      key,
      isExpressionText(one) ? one.source : plain(one),
    ]),
  );
}

const vocabulary = new Vocabulary(
  standardManifests.flatMap(({ spec }) => spec.attributes.map(({ name, type }) => [name, type])),
);

const inbound = '(context.reporter.kind | "inbound") == "inbound"';
const host = '(destination.service.host | "")';

const asks: readonly (readonly [title: string, aspect: string, asks: string])[] = [
  ["a denial", "{ kind: denials }", 'denier {"status":{"code":7}} ← checknothing {}'],
  [
    "a list that is written in the adapter",
    "{ kind: lists, params: { check_expression: source.user } }",
    'listchecker {"overrides":["a","b"],"blacklist":false} ← listentry {"value":"source.user"}{}',
  ],
  [
    "a list of addresses, of an adapter by name",
    "{ kind: lists, adapter: ips, params: { blacklist: true, check_expression: target.ip } }",
    'listchecker {"providerUrl":"http://l/","entryType":"IP_ADDRESSES","blacklist":true} ← ' +
      'listentry {"value":"destination.ip"}{}',
  ],
  [
    "a quota: every request takes one",
    "{ kind: quotas, params: { quotas: [{ descriptor_name: RequestCount, max_amount: 5, " +
      "expiration: 1s }] } }",
    'memquota {"minDeduplicationDuration":"2s","quotas":' +
      '[{"name":"global[0][0][0].instance.istio-system","maxAmount":5,"validDuration":"1s"}]} ← ' +
      'quota {"dimensions":{}}{}',
  ],
  [
    "a metric for Prometheus, under its own name",
    "{ kind: metrics, adapter: prometheus, params: { metrics: [{ descriptor_name: request_count, " +
      `value: '1', labels: { source: 'source.labels["app"] | "x"' } }] } }`,
    'prometheus {"metrics":[{"instanceName":"global[0][0][0].instance.istio-system",' +
      '"name":"request_count","namespace":"","description":"Requests.","kind":"COUNTER",' +
      '"labelNames":["source"]}]} ← metric {"value":"1","dimensions":' +
      '{"source":"(source.labels[\\"app\\"] | \\"x\\")"}}{}',
  ],
  [
    "a metric for statsd",
    "{ kind: metrics, params: { metrics: [{ descriptor_name: latency, " +
      "value: response.latency }] } }",
    'statsd {"address":"s:8125","metrics":{"global[0][0][0].instance.istio-system":' +
      '{"type":"DISTRIBUTION","nameTemplate":"latency"}}} ← ' +
      'metric {"value":"response.duration","dimensions":{}}{}',
  ],
  [
    "an access log",
    "{ kind: access-logs, params: { logName: l, log: { descriptor_name: accesslog.common, " +
      "template_expressions: { url: request.path }, labels: { method: request.method } } } }",
    'stdio {"logStream":1} ← logentry {"severity":"\\"INFO\\"",' +
      '"timestamp":"request.time | context.time","variables":' +
      '{"logName":"\\"l\\"","url":"request.path","method":"request.method"}}{}',
  ],
  [
    "an application's log",
    "{ kind: application-logs, params: { logs: [{ descriptor_name: accesslog.common, " +
      "severity: '\"ERROR\"', timestamp: context.time, labels: { method: request.method } }] } }",
    'stdio {"logStream":1} ← logentry {"severity":"\\"ERROR\\"","timestamp":"context.time",' +
      '"variables":{"logName":"\\"istio_log\\"","method":"request.method"}}{}',
  ],
  [
    "attributes of a platform",
    "{ kind: attributes, params: { input_expressions: { targetUid: target.uid }, " +
      "attribute_bindings: { target.labels: targetLabels } } }",
    'kubernetesenv {} ← kubernetes {"destinationUid":"destination.uid"}' +
      '{"destination.labels":"$out.destinationLabels"}',
  ],
];

describe("an aspect is a rule that asks", () => {
  test.each(asks)("%s", (_, aspect, expected) => {
    expect(rulesOf(rules(aspect))).toEqual([
      { rule: "istio-system/global[0]", match: inbound, asks: expected },
    ]);
  });

  test("a quota is charged", () => {
    const quota = "{ kind: quotas, params: { quotas: [{ descriptor_name: RequestCount }] } }";
    const { configs } = read(adapters, rules(quota));
    expect(declaredPolicy(configs).rules[0]?.spec.actions[0]?.charge).toBe(1);
  });
});

describe("whose requests it is for", () => {
  const deny = "{ kind: denials }";
  const matches = (...documents: readonly string[]) =>
    Object.fromEntries(rulesOf(...documents).map(({ rule, match }) => [rule, match]));

  test("selectors hold together, in today's words", () => {
    const nested = `subject: global
rules:
- selector: target.service == "a*"
  rules:
  - selector: source.user != "*b" || request.size == 1
    aspects: [{ kind: denials }]
`;
    expect(matches(nested)).toEqual({
      "istio-system/global[0]":
        `${inbound} && (match(destination.service.host, "a*")) && ` +
        '(((match(source.user, "*b") == false) || (request.size == 1)))',
    });
  });

  test("the closest subject that has such an aspect takes the place of wider ones", () => {
    const service = "reviews.shop.svc.cluster.local";
    const notInShop = `(${host}).endsWith(".shop.svc.cluster.local") == false`;
    expect(
      matches(
        rules(deny),
        rules(deny, "shop.svc.cluster.local"),
        rules(deny, service, 'source.user == "a"'),
        rules(
          "{ kind: lists, params: { check_expression: source.user } }",
          "x.y.svc.cluster.local",
        ),
      ),
    ).toEqual({
      "istio-system/global[0]": `${inbound} && ${notInShop}`,
      "shop/shop.svc.cluster.local[0]": `${inbound} && ${host} != "${service}"`,
      [`shop/${service}[0]`]: `${inbound} && ${host} == "${service}" && ((source.user == "a"))`,
      "y/x.y.svc.cluster.local[0]": `${inbound} && ${host} == "x.y.svc.cluster.local"`,
    });
  });

  test("of a name without svc nobody knows whether it is a service's", () => {
    const isIt = `(${host} == "a.corp" || (${host}).endsWith(".a.corp"))`;
    const isOther = `${host} != "a.corp" && (${host}).endsWith(".a.corp") == false`;
    expect(matches(rules(deny), rules(deny, "a.corp"))).toEqual({
      "istio-system/a.corp[0]": `${inbound} && ${isIt}`,
      "istio-system/global[0]": `${inbound} && ${isOther}`,
    });
  });

  test("scopes add up", () => {
    const scoped = `scope: shop.svc.cluster.local\n${rules(deny, "shop.svc.cluster.local")}`;
    expect(matches(rules(deny), scoped)).toEqual({
      "istio-system/global[0]": inbound,
      "shop/shop.svc.cluster.local[0]": inbound,
    });
  });
});

test.each([
  ["target.service", "destination.service.host"],
  [
    'target.labels["app"] | target.name | "x"',
    '((destination.labels["app"] | destination.name) | "x")',
  ],
  [
    'source.name == "a" && request.time == request.time',
    '((source.name == "a") && (request.time == request.time))',
  ],
  ['"*x" == source.name', 'match(source.name, "*x")'],
  ['(source.name).startsWith("a")', '(source.name).startsWith("a")'],
  ['response.latency | "5m"', '(response.duration | "5m")'],
  ['ip("1.2.3.4")', 'ip("1.2.3.4")'],
  ["what is this?", "what is this?"],
])("%s is %s today", (source, today) => {
  const at = { file: "", line: 1, column: 1 };
  expect(expressionToday({ source, at })).toEqual({ source: today, at });
});

test("documents are called after their subjects, and are the whole mesh's", () => {
  const { configs } = read(adapters, "metrics: []\n", rules("{ kind: denials }", "namespace:ns"));
  expect(configs.map(configKey)).toEqual([
    "GlobalConfig/istio-system/adapters",
    "GlobalConfig/istio-system/descriptors",
    "ServiceConfig/istio-system/namespace-ns",
  ]);
});

test("manifests add to the standard ones, in today's words", () => {
  const { configs } = read(
    "manifests: [{ name: kubernetes, revision: '1', attributes: " +
      "{ target.x: { value_type: STRING } } }]\n",
  );
  expect(declaredPolicy(configs).manifests).toMatchObject([
    {
      name: "descriptors:kubernetes",
      spec: { revision: "1", attributes: [{ name: "destination.x", type: "STRING" }] },
    },
  ]);
});

const mistakes: readonly (readonly [title: string, text: string, told: readonly string[]])[] = [
  [
    "an adapter that is not declared",
    rules("{ kind: lists, adapter: ipz, params: { check_expression: a } }"),
    ["a.yaml:5:5: spec: no adapter ipz for lists is declared (did you mean ips?)"],
  ],
  [
    "a descriptor that is not declared, and labels that are not its own",
    rules(
      "{ kind: metrics, params: { metrics: [{ descriptor_name: request_cuont, value: a }, " +
        "{ descriptor_name: request_count, value: a, labels: { sauce: a } }] } }",
    ),
    [
      "a.yaml:5:42: spec: no descriptor request_cuont is declared (did you mean request_count?)",
      "a.yaml:5:88: spec: must have the label source of request_count",
      "a.yaml:5:88: spec: request_count has no label sauce (did you mean source?)",
    ],
  ],
  [
    "an impl that nobody knows",
    "adapters: [{ name: x, impl: denyCheker }]\n",
    ["a.yaml:1:12: spec: no adapter denyCheker is known (did you mean denychecker?)"],
  ],
  [
    "fields and kinds that nobody knows",
    rules("{ kind: denails, params: {} }\n  - { kind: lists, params: { chek_expression: a } }"),
    [
      "a.yaml:5:13: rules[0].aspects[0].kind: must be one of access-logs, application-logs, " +
        'attributes, denials, lists, metrics, quotas, not "denails" (did you mean denials?)',
      "a.yaml:6:28: rules[0].aspects[1].params: must have a check_expression",
      "a.yaml:6:30: rules[0].aspects[1].params.chek_expression: unknown field " +
        "(did you mean check_expression?)",
    ],
  ],
  [
    "a subject outside of its scope",
    `scope: shop.svc.cluster.local\n${rules("{ kind: denials }")}`,
    ["a.yaml:2:10: subject: is not within the scope shop.svc.cluster.local"],
  ],
  [
    "buckets, templates and principals that cannot be",
    `metrics:
- { name: a, kind: 3, value: 2, buckets: { linear_buckets: { num_finite_buckets: 0, width: 0 } } }
- { name: b, kind: 3, value: 2, buckets: { exponential_buckets: { growth_factor: 1, scale: -1 } } }
- { name: c, kind: 3, value: 2, buckets: { explicit_buckets: { bounds: [1, 1] } } }
logs: [{ name: d, log_template: "{{.a" }, { name: e }, { name: h, log_template: "" }]
principals: [{ name: f, labels: { g: 0 } }]
`,
    [
      "a.yaml:2:82: metrics[0].buckets.linear_buckets.num_finite_buckets: " +
        "must be at least 1, not 0",
      "a.yaml:2:92: metrics[0].buckets.linear_buckets.width: must be above 0, not 0",
      "a.yaml:3:82: metrics[1].buckets.exponential_buckets.growth_factor: must be above 1, not 1",
      "a.yaml:3:92: metrics[1].buckets.exponential_buckets.scale: must be above 0, not -1",
      "a.yaml:4:72: metrics[2].buckets.explicit_buckets.bounds: must rise",
      "a.yaml:5:33: logs[0].log_template: has a {{ without its }}",
      "a.yaml:5:43: logs[1].logTemplate: must be given",
      "a.yaml:5:81: logs[2].log_template: must not be empty",
      "a.yaml:6:38: principals[0].labels.g: must be given",
    ],
  ],
  [
    "a descriptor that says too little",
    "metrics: [{ name: m }]\nquotas: [{ labels: { a: 0 } }]\n",
    [
      "a.yaml:1:11: metrics[0].value: must be given",
      "a.yaml:1:11: metrics[0].kind: must be GAUGE, COUNTER or DISTRIBUTION",
      "a.yaml:2:10: quotas[0].name: must not be empty",
      "a.yaml:2:25: quotas[0].labels.a: must be given",
    ],
  ],
];

test("an operator is told of what has no effect any more", () => {
  const text =
    'logs: [{ name: l, log_template: "{{.a}}" }]\nmonitored_resources: [{ name: pod }]\n';
  const { problems } = readDocuments(text, { file: "a.yaml", namespace: "default" });
  expect(problems.map(formatProblem)).toEqual([
    "a.yaml:1:33: warning: logs[0].log_template: has no effect: entries are written as fields",
    "a.yaml:2:22: warning: monitored_resources: has no effect",
  ]);
});

test.each(mistakes)("an operator is told of %s", (_, text, told) => {
  const { problems } = read(text, ...(text.includes("impl") ? [] : [adapters]));
  expect(problems).toEqual([...told]);
});
