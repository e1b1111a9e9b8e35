/** What an operator is told of policies that are well formed and do something else. */
import { expect, test } from "bun:test";
import { readDocuments } from "../dialect/read.ts";
import { validateSet } from "../dialect/validate-set.ts";
import type { Service, ServiceInstance } from "../model/service.ts";
import { ruleWarnings } from "./rule-warning.ts";

const service = (name: string, protocol: "HTTP" | "TCP", number: number): Service => ({
  ...{ host: `${name}.default.svc.cluster.local`, namespace: "default", addresses: [] },
  ports: [{ name: "", number, protocol }],
  ...{ resolution: "STATIC", external: false, registry: "local" },
});
const instance = (name: string, servicePort: number): ServiceInstance => ({
  ...{ host: `${name}.default.svc.cluster.local`, address: "10.0.0.1", port: 15_006 },
  ...{ servicePort, labels: { app: name }, locality: "", weight: 1, healthy: true, workload: name },
});
const registry = {
  services: [service("shop", "HTTP", 80), service("data", "TCP", 5_432)],
  instances: [{ ...instance("shop", 80), appPort: 8_080 }, instance("data", 5_432)],
  origins: new Map(),
};

const object = (kind: string, spec: string, name = "x"): string =>
  `apiVersion: security.istio.io/v1\nkind: ${kind}\nmetadata: { name: ${name} }\nspec: ${spec}\n`;
const policy = (spec: string) => object("AuthorizationPolicy", spec);
const of = (app: string) => `selector: { matchLabels: { app: ${app} } }`;
const rule = (ofApp: string, text: string) =>
  policy(`{ ${of(ofApp)}, rules: [{ to: [{ operation: { ${text} } }] }] }`);
const destination = (mode: string) =>
  `apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: { name: d }
spec: { host: shop, trafficPolicy: { tls: { mode: ${mode} } } }\n`;
const peer = (mode: string) => object("PeerAuthentication", `{ mtls: { mode: ${mode} } }`, "p");

const hosts = new Set(registry.services.map(({ host }) => host));

test("what is missing from a part of the rules may be in another part", () => {
  const { configs } = readDocuments(custom, { file: "a.yaml", namespace: "default" });
  expect(validateSet(configs, {})).toEqual([]);
  expect(validateSet(configs, { hosts })).toHaveLength(1);
});

function told(...texts: readonly string[]): readonly string[] {
  const options = { file: "a.yaml", namespace: "default" };
  const { configs, problems } = readDocuments(texts.join("---\n"), options);
  expect(problems).toEqual([]);
  const found = [...validateSet(configs, { hosts }), ...ruleWarnings(configs, registry)];
  return found.map(({ path, message }) => `${path}: ${message}`);
}

const custom = policy("{ action: CUSTOM, provider: { name: ask }, rules: [{}] }");
const named = policy("{ targetRef: { kind: Service, name: web } }");
const ports = object("PeerAuthentication", `{ ${of("shop")}, portLevelMtls: { 90: {} } }`);

const data = "data.default.svc.cluster.local";
const rows: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ["a policy of everybody", [policy("{}")], []],
  [
    "a selector of nobody",
    [policy(`{ ${of("web")} }`)],
    ["spec.selector: selects nobody: no workload has app=web"],
  ],
  ["a service of nobody", [named], ["spec.targetRefs: no workload of service web is known"]],
  [
    "a port of nobody",
    [rule("shop", "ports: ['90']")],
    ["spec.rules: port 90 is none of those whom it selects: 80, 8080"],
  ],
  ["the application's port", [rule("shop", "ports: ['8080']")], []],
  [
    "a port of nobody, of mutual TLS",
    [ports],
    ["spec.portLevelMtls: port 90 is none of those whom it selects: 80, 8080"],
  ],
  [
    "requests where there are none",
    [rule("data", "methods: [GET]")],
    [`spec.rules: asks of requests: it allows nothing at ${data}:5432, which is TCP`],
  ],
  ["requests where there are some", [rule("shop", "methods: [GET]")], []],
  [
    "a provider that nobody knows",
    [custom],
    ["spec.provider: no extension provider is called ask: what matches is refused"],
  ],
  [
    "one that is known",
    [custom, "extensionProviders: [{ name: ask, envoyExtAuthzGrpc: { service: a, port: 1 } }]\n"],
    [],
  ],
  [
    "callers that disable what is STRICT",
    [destination("DISABLE"), peer("STRICT")],
    ["spec.trafficPolicy: DISABLE is refused: PeerAuthentication/default/p is STRICT"],
  ],
  [
    "callers that insist on what is disabled",
    [destination("ISTIO_MUTUAL"), peer("DISABLE")],
    ["spec.trafficPolicy: ISTIO_MUTUAL calls nobody: PeerAuthentication/default/p is DISABLE"],
  ],
  ["both agree", [destination("ISTIO_MUTUAL"), peer("STRICT")], []],
  [
    "what allows, beside what denies everything",
    [
      object("AuthorizationPolicy", "{ action: DENY, rules: [{}] }", "deny"),
      object("AuthorizationPolicy", "{ rules: [{}] }", "allow"),
    ],
    ["spec: decides nothing: AuthorizationPolicy/default/deny has a rule that denies everything"],
  ],
  [
    "what allows, beside what allows everything",
    [
      object("AuthorizationPolicy", "{ rules: [{}] }", "all"),
      object("AuthorizationPolicy", "{}", "nothing"),
      object("AuthorizationPolicy", `{ ${of("shop")} }`, "shop"),
    ],
    ["spec: decides nothing: AuthorizationPolicy/default/all has a rule that allows everything"],
  ],
  [
    "two of one level",
    [peer("STRICT"), object("PeerAuthentication", "{}", "q")],
    ["spec: is for the same workloads as PeerAuthentication/default/p: the older one counts"],
  ],
];

test.each(rows.map(([title, texts, expected]) => ({ title, texts, expected })))(
  "$title",
  ({ texts, expected }) => {
    expect(told(...texts)).toEqual([...expected]);
  },
);

test("roles without a config, and bindings without a role", () => {
  const text = `apiVersion: rbac.istio.io/v1alpha1
kind: ServiceRoleBinding
metadata: { name: b }
spec: { subjects: [{ user: a }], roleRef: { kind: ServiceRole, name: r } }
`;
  expect(told(text)).toEqual([
    "spec: has no effect: no ClusterRbacConfig or RbacConfig asks for roles",
    "spec.roleRef: there is no ServiceRole r in default",
  ]);
});
