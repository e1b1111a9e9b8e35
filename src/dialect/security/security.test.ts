/** What may be written about who may call whom, and what is said of what may not. Manager 7. */
import { describe, expect, test } from "bun:test";
import { formatProblem, isError } from "../../core/problem.ts";
import type { Config, ConfigKind, ConfigOf } from "../../model/config.ts";
import { readDocuments } from "../read.ts";

const versions: Readonly<Record<string, string>> = {
  Policy: "authentication.istio.io/v1alpha1",
  MeshPolicy: "authentication.istio.io/v1alpha1",
  ServiceRole: "rbac.istio.io/v1alpha1",
  ServiceRoleBinding: "rbac.istio.io/v1alpha1",
  RbacConfig: "rbac.istio.io/v1alpha1",
};

function read(kind: string, spec: string, metadata = "{ name: x }") {
  const apiVersion = versions[kind] ?? "security.istio.io/v1";
  const text = `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: ${metadata}\nspec: ${spec}\n`;
  return readDocuments(text, { file: "r.yaml", namespace: "default" });
}

function specOf<K extends ConfigKind>(kind: K, spec: string): ConfigOf<K>["spec"] {
  const { configs, problems } = read(kind, spec);
  expect(problems.filter(isError).map(formatProblem)).toEqual([]);
  const [config] = configs as readonly Config[];
  if (config?.kind !== kind) throw new Error("not read");
  return config.spec as ConfigOf<K>["spec"];
}

const AP = "AuthorizationPolicy";
const PA = "PeerAuthentication";
const RA = "RequestAuthentication";
const SR = "ServiceRole";
const SRB = "ServiceRoleBinding";

const rule = (text: string) => `{ rules: [{ ${text} }] }`;
const deny = (text: string) => `{ action: DENY, rules: [{ ${text} }] }`;
const source = (text: string) => rule(`from: [{ source: { ${text} } }]`);
const operation = (text: string) => rule(`to: [{ operation: { ${text} } }]`);
const when = (text: string) => rule(`when: [{ ${text} }]`);
const jwt = (text: string) => `{ jwtRules: [{ ${text} }] }`;
const custom = (text: string) => `{ action: CUSTOM, provider: { name: p }, rules: [{ ${text} }] }`;
const target = (text: string) => `{ targetRef: { ${text} } }`;

describe("is refused", () => {
  // biome-ignore format: a table
  const rows: readonly (readonly [kind: string, spec: string, message: string])[] = [
    [AP, "{ action: REFUSE }", "must be one of ALLOW"],
    [AP, "{ action: DENY }", "must have rules"],
    [AP, "{ action: CUSTOM, rules: [{}] }", "must name the provider"],
    [AP, "{ action: CUSTOM, provider: { name: '' }, rules: [{}] }", "must name"],
    [AP, "{ provider: { name: p } }", "no place beside ALLOW"],
    [AP, "{ rule: [] }", "unknown field"],
    [AP, rule("from: []"), "must not be empty"],
    [AP, rule("from: [{}]"), "must have a source"],
    [AP, rule("to: [{}]"), "must have an operation"],
    [AP, source(""), "at least one field"],
    [AP, operation(""), "at least one field"],
    [AP, source("principals: [a, '']"), "[1] must not be empty"],
    [AP, source("ipBlocks: [10.0.0.0/33]"), "0 to 32"],
    [AP, source("notRemoteIpBlocks: [ip]"), "not an IP"],
    [AP, source("serviceAccounts: [a/b/c]"), "namespace/account"],
    [AP, source("notServiceAccounts: [a/]"), "namespace/account"],
    [AP, source("serviceAccounts: [a], principals: [b]"), "beside serviceAccounts"],
    [AP, operation("ports: ['65536']"), "not a port"],
    [AP, operation("notPorts: [http]"), "not a port"],
    [AP, operation("paths: ['/a/{b}']"), "braces only as {*}"],
    [AP, operation("paths: ['/{**}/{*}']"), "behind {**}"],
    [AP, operation("paths: ['/{*}/a*']"), "both {*} and *"],
    [AP, operation("notPaths: ['/{*}a']"), "a whole part"],
    [AP, when("values: [a]"), "must have a key"],
    [AP, when("key: source.ip"), "must have values or notValues"],
    [AP, when("key: source.ip, values: [a]"), "not an IP"],
    [AP, when("key: destination.port, notValues: [a]"), "not a port"],
    [AP, when("key: request.headers, values: [a]"), "name one in brackets"],
    [AP, when("key: 'request.auth.claims[a', values: [a]"), "in brackets"],
    [AP, when("key: 'destination.labels[a]', values: [a]"), "first releases"],
    [AP, when("key: source.name, values: [a]"), "there is no key"],
    [AP, custom("from: [{ source: { namespaces: [a] } }]"), "CUSTOM"],
    [AP, custom("when: [{ key: request.auth.principal, values: [a] }]"), "CUSTOM"],
    [AP, "{ selector: { matchLabels: { app: 'a*' } } }", "wildcards"],
    [AP, "{ selector: { app: a } }", "unknown field"],
    [AP, target("kind: Service"), "must have a name"],
    [AP, target("kind: Pod, name: a"), "nothing that can be referred to"],
    [AP, target("kind: Gateway, name: a"), "nothing that can"],
    [AP, target("kind: Service, name: a, namespace: b"), "another one"],
    [AP, "{ selector: {}, targetRef: { kind: Service, name: a } }",
      "must not stand beside selector"],
    [PA, "{ mtls: { mode: ON } }", "must be one of"],
    [PA, "{ portLevelMtls: { 80: {} } }", "beside a selector"],
    [PA, "{ selector: { matchLabels: { a: b } }, portLevelMtls: {} }", "at least one"],
    [PA, "{ selector: { matchLabels: { a: b } }, portLevelMtls: { http: {} } }", "not a number"],
    [PA, "{ selector: { matchLabels: { a: b } }, portLevelMtls: { 0: {} } }", "between 1"],
    [RA, jwt(""), "must have an issuer, or keys"],
    [RA, jwt("issuer: a, jwksUri: foo.com"), "http:// or https://"],
    [RA, jwt("issuer: a, jwksUri: 'https://a:b'"), "can be fetched"],
    [RA, jwt("issuer: a, jwks: '{}'"), "set of keys"],
    [RA, jwt("issuer: a, jwks: '{\"keys\":[{}]}'"), "without a type"],
    [RA, jwt("issuer: a, jwksUri: 'http://a', jwks: '{\"keys\":[]}'"), "beside jwksUri"],
    [RA, jwt("issuer: a, audiences: ['']"), "must not be empty"],
    [RA, jwt("issuer: a, fromHeaders: [{ prefix: b }]"), "must have a name"],
    [RA, jwt("issuer: a, fromHeaders: [{ name: 'a b' }]"), "not a header name"],
    [RA, jwt("issuer: a, fromCookies: ['']"), "must not be empty"],
    [RA, jwt("issuer: a, outputClaimToHeaders: [{ claim: a }]"), "must have a header"],
    [RA, jwt("issuer: a, timeout: 0s"), ""],
    ["Policy", "{ targets: [{ name: a.b }] }", "letters, digits and inner dashes"],
    ["Policy", "{ targets: [{ name: a, ports: [{}] }] }", "must have a number"],
    ["Policy", "{ origins: [{ jwt: {} }] }", "must have an issuer"],
    ["Policy", "{ peers: [{ jwt: { issuer: a } }], origins: [{ jwt: { issuer: a } }] }",
      "given twice"],
    ["MeshPolicy", "{ peers: [] }", 'must be named "default"'],
    [SR, "{ rules: [] }", "at least one"],
    [SR, "{ rules: [{ methods: [GET] }] }", "must not be empty"],
    [SR, "{ rules: [{ services: [a], constraints: [{ values: [a] }] }] }", "must have a key"],
    [SRB, "{ roleRef: { kind: ServiceRole, name: a } }", "must have a subject"],
    [SRB, "{ subjects: [{ user: a }] }", "must have a roleRef"],
    [SRB, "{ subjects: [{}], roleRef: { kind: ServiceRole, name: a } }", "is nobody"],
    ...['user: ""', "names: []", "groups: [], ips: []", "properties: {}", "user: null"].map(
      (nobody) =>
        [
          SRB,
          `{ subjects: [{ ${nobody} }], roleRef: { kind: ServiceRole, name: a } }`,
          "is nobody",
        ] as const,
    ),
    ["RbacConfig", "{ mode: ON }", 'must be named "default"'],
  ];
  test.each([...rows])("%s %s", (kind, spec, message) => {
    const errors = read(kind, spec).problems.filter(isError);
    expect(errors.map((problem) => problem.message).join("\n")).toContain(message);
  });

  test("where it stands", () => {
    const places = (kind: string, spec: string) =>
      read(kind, spec).problems.map(({ path, position: { column } }) => `${path} ${column}`);
    expect(places(AP, rule("to: [], when: [{ key: source.ip, values: [a] }]"))).toEqual([
      "spec.rules[0].when[0].values 60",
    ]);
    expect(places(AP, source("serviceAccounts: [a/b/c], ipBlocks: [b]"))).toEqual([
      "spec.rules[0].from[0].source.serviceAccounts 55",
      "spec.rules[0].from[0].source.ipBlocks 74",
    ]);
    expect(places(PA, "{ portLevelMtls: { http: {} } }")).toEqual([
      "spec.portLevelMtls 24",
      "spec.portLevelMtls.http 32",
    ]);
  });

  test("the annotation dry-run, where there is nothing to try", () => {
    const metadata = (value: string) =>
      `{ name: x, annotations: { istio.io/dry-run: "${value}" } }`;
    const errors = (kind: string, spec: string, value: string) =>
      read(kind, spec, metadata(value)).problems.filter(isError).length;
    expect(errors("AuthorizationPolicy", "{ action: DENY, rules: [{}] }", "true")).toBe(0);
    expect(errors("AuthorizationPolicy", "{}", "F")).toBe(0);
    expect(errors("AuthorizationPolicy", "{}", "yes")).toBe(1);
    expect(errors("AuthorizationPolicy", "{ action: AUDIT }", "true")).toBe(1);
    expect(errors("RequestAuthentication", "{}", "true")).toBe(1);
    expect(errors("PeerAuthentication", "{}", "false")).toBe(1);
  });
});

describe("is taken, with a warning", () => {
  // biome-ignore format: a table
  const rows: readonly (readonly [kind: string, spec: string, warning: string | undefined])[] = [
    [AP, deny("to: [{ operation: { methods: [GET] } }]"), "denies more on TCP ports"],
    [AP, custom("to: [{ operation: { methods: [GET] } }]"), "denies more on TCP ports"],
    [AP, deny("to: [{ operation: { methods: [GET], ports: ['80'] } }]"), undefined],
    [AP, deny("from: [{ source: { requestPrincipals: ['*'] } }]"), "denies more on TCP ports"],
    [AP, deny("from: [{ source: { namespaces: [a] } }]"), undefined],
    [AP, operation("methods: [GET]"), undefined],
    [AP, source("principals: ['spiffe://a/ns/b/sa/c']"), "never matches"],
    [AP, source("namespaces: ['a*b']"), "at one end only"],
    [AP, "{ selector: {} }", "selects all"],
    [AP, when("key: 'experimental.envoy.filters.a[b]', values: [c]"), "of another proxy"],
    ["Policy", "{ origins: [{ jwt: { issuer: a } }] }", "closes TCP ports"],
    [SR, "{ rules: [{ services: [a], constraints: [{ key: app, values: [a] }] }] }",
      'nothing is known of "app"'],
    [SRB, "{ subjects: [{ properties: { app: a } }], roleRef: { kind: ServiceRole, name: a } }",
      'nothing is known of "app"'],
  ];
  test.each([...rows])("%s %s: %p", (kind, spec, warning) => {
    const { problems, configs } = read(kind, spec);
    expect(configs).toHaveLength(1);
    const text = problems.map(formatProblem).join("\n");
    if (warning === undefined) expect(text).toBe("");
    else expect(text).toContain(warning);
  });
});

test.each([
  ["user: a", { principals: ["a"] }],
  ["names: [a, b]", { principals: ["a", "b"] }],
  ["user: a, names: [b]", { principals: ["a", "b"] }],
  ['names: [a, "*"]', undefined],
  ['user: "*"', undefined],
  ['user: "*", notNames: [a]', { notPrincipals: ["a"] }],
  ["namespaces: [a], notNamespaces: [b]", { namespaces: ["a"], notNamespaces: ["b"] }],
  ["ips: [10.0.0.1], notIps: [10.0.0.2]", { ipBlocks: ["10.0.0.1"], notIpBlocks: ["10.0.0.2"] }],
  ["properties: { source.ip: 10.0.0.1 }", { ipBlocks: ["10.0.0.1"] }],
])("a subject of { %s }", (subject, source) => {
  const spec = `{ subjects: [{ ${subject} }], roleRef: { kind: ServiceRole, name: a } }`;
  const [only] = specOf(SRB, spec).subjects;
  expect(only).toEqual({ source, when: [], isUnknown: false });
});

test("nothing at all is a policy too, with or without a spec", () => {
  const nothing = { action: "ALLOW", provider: "", rules: [] } as const;
  expect(specOf("AuthorizationPolicy", "{}")).toEqual(nothing);
  expect(specOf("AuthorizationPolicy", "")).toEqual(nothing);
  expect(specOf("PeerAuthentication", "")).toEqual({ mode: "UNSET", ports: {} });
});

test("names of both spellings, and references by either word", () => {
  const references = [{ kind: "Service", name: "a" }] as const;
  const expected = { references, action: "ALLOW", provider: "", rules: [] } as const;
  const one = "{ targetRef: { group: '', kind: Service, name: a } }";
  expect(specOf("AuthorizationPolicy", one)).toEqual(expected);
  expect(specOf("AuthorizationPolicy", "{ target_refs: [{ kind: Service, name: a }] }")).toEqual(
    expected,
  );
});
