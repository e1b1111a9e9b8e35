/** What later releases replaced, as it is asked of callers. */
import { describe, expect, test } from "bun:test";
import { readDocuments } from "../../dialect/read.ts";
import { accessOf, mutualTlsOf } from "./access.ts";
import { accessSetOf } from "./access-set.ts";
import type { NodeView } from "./source.ts";

const DOMAIN = "cluster.local";
const node = (name: string, namespace: string, labels = {}): NodeView => ({
  service: `${name}.${namespace}.svc.${DOMAIN}`,
  namespace,
  labels,
});
const reviews = node("reviews", "default", { version: "v1" });
const ratings = node("ratings", "default");
const other = node("other", "other");

function setOf(...objects: readonly (readonly [kind: string, name: string, spec: string])[]) {
  const text = objects.map(([kind, name, spec]) => {
    const group = /Policy$/.test(kind) ? "authentication" : "rbac";
    return `apiVersion: ${group}.istio.io/v1alpha1\nkind: ${kind}\nmetadata: { name: ${name} }
spec: ${spec}\n`;
  });
  const read = readDocuments(text.join("---\n"), { file: "r.yaml", namespace: "default" });
  expect(read.problems.filter(({ severity }) => severity === "error")).toEqual([]);
  return accessSetOf(read.configs, DOMAIN, ({ origin }) => origin.line);
}

type Set = ReturnType<typeof setOf>;

/** Who may do what: undefined, everybody everything. */
function allowed(set: Set, to: NodeView): readonly string[] | undefined {
  const { authorizationPolicies } = accessOf(set, to, { trustDomains: [], authorizers: [] });
  if (authorizationPolicies.length === 0) return undefined;
  return authorizationPolicies.flatMap(({ rules }) =>
    rules.map(({ from, to: operations, when }) => {
      const who = from.flatMap(({ principals, namespaces }) => [...principals, ...namespaces]);
      const what = operations.flatMap(({ methods, paths }) => [...methods, ...paths]);
      const where = when.map(({ key, values }) => `${key}=${values}`);
      return [who.join() || "anybody", what.join() || "anything", ...where].join(" ");
    }),
  );
}

const on = ["ClusterRbacConfig", "default", "{ mode: ON }"] as const;
const role = (name: string, rule: string) =>
  ["ServiceRole", name, `{ rules: [{ ${rule} }] }`] as const;
const bind = (name: string, subjects: string, more = "") =>
  [
    "ServiceRoleBinding",
    `bind-${name}`,
    `{ subjects: [${subjects}], roleRef: { kind: ServiceRole, name: ${name} }${more} }`,
  ] as const;
const anybody = '{ user: "*" }';

describe("roles", () => {
  const included =
    "{ mode: ON_WITH_INCLUSION, inclusion: { services: [ratings.default], namespaces: [other] } }";
  const view = role("view", "services: [reviews], methods: [GET], paths: ['*']");
  const rows: readonly (readonly [string, Set, NodeView, readonly string[] | undefined])[] = [
    ["without a config ask nothing", setOf(view, bind("view", anybody)), reviews, undefined],
    ["OFF", setOf(["RbacConfig", "default", "{ mode: OFF }"], view), reviews, undefined],
    ["ON: nobody without a binding", setOf(on, view), reviews, []],
    ["a binding", setOf(on, view, bind("view", anybody)), reviews, ["anybody GET"]],
    [
      "a constraint that nobody knows grants nothing",
      setOf(
        on,
        role("view", "services: [reviews], constraints: [{ key: app, values: [a] }]"),
        bind("view", anybody),
      ),
      reviews,
      [],
    ],
    ["of another service", setOf(on, view, bind("view", anybody)), ratings, []],
    [
      "of another namespace",
      setOf(on, role("view", "services: ['*']"), bind("view", anybody)),
      other,
      [],
    ],
    [
      "each subject by itself",
      setOf(
        on,
        view,
        bind("view", "{ user: a/ns/b/sa/c }, { properties: { source.namespace: d } }"),
      ),
      reviews,
      ["a/ns/b/sa/c GET", "d GET"],
    ],
    [
      "what nobody knows grants nothing",
      setOf(on, view, bind("view", "{ properties: { app: d } }")),
      reviews,
      [],
    ],
    [
      "groups and constraints are conditions",
      setOf(
        on,
        role(
          "view",
          "services: ['re*'], constraints: [{ key: 'request.headers[x]', values: [y] }]",
        ),
        bind("view", "{ group: g }"),
      ),
      reviews,
      ["anybody anything request.headers[x]=y request.auth.claims[groups]=g"],
    ],
    [
      "of workloads with a label",
      setOf(
        on,
        role(
          "view",
          "services: ['*'], constraints: [{ key: 'destination.labels[version]', values: [v2] }]",
        ),
        bind("view", anybody),
      ),
      reviews,
      [],
    ],
    ["of included services", setOf(["RbacConfig", "default", included]), reviews, undefined],
    ["and of included namespaces", setOf(["RbacConfig", "default", included]), other, []],
    [
      "not of excluded ones",
      setOf([
        "RbacConfig",
        "default",
        "{ mode: ON_WITH_EXCLUSION, exclusion: { services: ['reviews*'] } }",
      ]),
      reviews,
      undefined,
    ],
    [
      "the cluster's config counts",
      setOf(["RbacConfig", "default", "{ mode: OFF }"], on),
      reviews,
      [],
    ],
  ];
  test.each([...rows])("%s", (_, set, to, expected) => {
    expect(allowed(set, to)).toEqual(expected as string[]);
  });

  test("on trial are reported only", () => {
    const trial = setOf(on, view, bind("view", anybody, ", mode: PERMISSIVE"));
    const { authorizationPolicies } = accessOf(trial, reviews, {
      trustDomains: [],
      authorizers: [],
    });
    expect(authorizationPolicies.map(({ dryRun, origin }) => [origin?.object, dryRun])).toEqual([
      ["ClusterRbacConfig/default/default", false],
      ["ServiceRoleBinding/default/bind-view", true],
    ]);
  });
});

describe("authentication policies", () => {
  const mesh = ["MeshPolicy", "default", "{ peers: [{ mtls: {} }] }"] as const;
  const lax = ["Policy", "x", "{ targets: [{ name: reviews }], peers: [] }"] as const;
  const rows: readonly (readonly [string, Set, NodeView, string])[] = [
    ["of the mesh", setOf(mesh), other, "STRICT"],
    ["of a namespace", setOf(mesh, ["Policy", "default", "{ peers: [] }"]), reviews, "PERMISSIVE"],
    ["of another", setOf(mesh, ["Policy", "default", "{ peers: [] }"]), other, "STRICT"],
    ["of a service", setOf(mesh, lax), reviews, "PERMISSIVE"],
    ["of another", setOf(mesh, lax), ratings, "STRICT"],
    [
      "mtls: null is STRICT",
      setOf(["MeshPolicy", "default", "{ peers: [{ mtls: null }] }"]),
      other,
      "STRICT",
    ],
    [
      "PERMISSIVE",
      setOf(["MeshPolicy", "default", "{ peers: [{ mtls: { mode: PERMISSIVE } }] }"]),
      other,
      "PERMISSIVE",
    ],
    [
      "peerIsOptional",
      setOf(["MeshPolicy", "default", "{ peers: [{ mtls: {} }], peerIsOptional: true }"]),
      other,
      "PERMISSIVE",
    ],
  ];
  test.each([...rows])("%s", (_, set, to, expected) => {
    expect(mutualTlsOf(set, to).mode).toBe(expected as "STRICT");
  });

  test("of a port", () => {
    const spec = "{ targets: [{ name: reviews, ports: [{ number: 80 }] }], peers: [{ mtls: {} }] }";
    const { mode, ports } = mutualTlsOf(setOf(["Policy", "x", spec]), reviews);
    expect({ mode, ports }).toEqual({ mode: "PERMISSIVE", ports: { 80: "STRICT" } });
  });

  test("with tokens refuse who has none, unless they are optional", () => {
    const origins =
      "targets: [{ name: reviews }], origins: [{ jwt: { issuer: i, jwtHeaders: [t] } }]";
    const names = { trustDomains: [], authorizers: [] };
    const asked = accessOf(setOf(["Policy", "x", `{ ${origins} }`]), reviews, names);
    expect(asked.requestAuthentications.map(({ rules }) => rules[0]?.fromHeaders[0]?.name)).toEqual(
      ["t"],
    );
    const [denied] = asked.authorizationPolicies;
    expect(denied?.rules[0]?.from[0]?.notRequestPrincipals).toEqual(["*"]);
    const optional = setOf(["Policy", "x", `{ ${origins}, originIsOptional: true }`]);
    expect(accessOf(optional, reviews, names).authorizationPolicies).toEqual([]);
  });
});
