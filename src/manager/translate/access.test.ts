/** Who may call a workload: which objects are for it, and which of them counts. Manager 7. */
import { describe, expect, test } from "bun:test";
import { toJson } from "@bufbuild/protobuf";
import { AccessConfigSchema } from "../../api/gen/mesh/v1/access_pb.ts";
import { readDocuments } from "../../dialect/read.ts";
import type { ServiceInstance } from "../../model/service.ts";
import { accessOf, mutualTlsOf } from "./access.ts";
import { accessSetOf } from "./access-set.ts";
import { withIdentities } from "./identity.ts";
import { inDomains } from "./principal-domain.ts";
import type { NodeView } from "./source.ts";

const DOMAIN = "cluster.local";

const reviews: NodeView = {
  service: "reviews.default.svc.cluster.local",
  namespace: "default",
  labels: { app: "reviews", version: "v1" },
};
const web: NodeView = { service: "web.edge.svc.cluster.local", namespace: "edge", labels: {} };
const edge: NodeView = { ...web, mode: "gateway" };

/** Documents in the order in which they were made. */
function setOf(...documents: readonly string[]) {
  const { configs, problems } = readDocuments(documents.join("\n---\n"), {
    file: "r.yaml",
    namespace: "default",
  });
  expect(problems.filter(({ severity }) => severity === "error")).toEqual([]);
  return accessSetOf(configs, DOMAIN, ({ origin }) => origin.line);
}

const object = (kind: string, where: string, spec: string, annotations = ""): string => {
  const [namespace, name] = where.split("/");
  return `apiVersion: security.istio.io/v1
kind: ${kind}
metadata: { namespace: ${namespace}, name: ${name}${annotations} }
spec: ${spec}`;
};
const peer = (where: string, spec: string) => object("PeerAuthentication", where, spec);
const policy = (where: string, spec: string) => object("AuthorizationPolicy", where, spec);
const mode = (name: string, more = "") => `{ mtls: { mode: ${name} }${more} }`;
const forReviews = ", selector: { matchLabels: { app: reviews } }";
const ports = (said: string) => `${forReviews}, portLevelMtls: ${said}`;

describe("mutual TLS is as the narrowest says", () => {
  const mesh = peer("istio-system/default", mode("STRICT"));
  const namespace = peer("default/default", mode("DISABLE"));
  const workload = peer("default/reviews", mode("PERMISSIVE", forReviews));
  const settings = "kind: MeshConfig\nauthPolicy: MUTUAL_TLS";
  const unset = peer("default/default", "{}");
  const forA = (labels: string): string =>
    peer("default/a", `{ selector: { matchLabels: { ${labels} } }, mtls: { mode: STRICT } }`);
  const withPorts = (name: string, said: string) => peer("default/r", mode(name, ports(said)));
  // biome-ignore format: a table
  const rows: readonly (readonly [title: string, given: readonly string[], expected: string])[] = [
    ["nobody",                              [],                          "PERMISSIVE"],
    ["the mesh",                            [mesh],                      "STRICT"],
    ["the namespace before the mesh",       [mesh, namespace],           "DISABLE"],
    ["the workload before the namespace",   [mesh, namespace, workload], "PERMISSIVE"],
    ["an UNSET namespace is as the mesh",   [mesh, unset],               "STRICT"],
    ["an UNSET workload is as its namespace",
      [namespace, peer("default/r", mode("UNSET", forReviews))],         "DISABLE"],
    ["UNSET everywhere",                    [unset, peer("istio-system/r", "{}")], "PERMISSIVE"],
    ["another namespace says nothing",      [peer("other/default", mode("STRICT"))], "PERMISSIVE"],
    ["another workload says nothing",       [forA("app: a")],            "PERMISSIVE"],
    ["all labels have to be there",         [forA("app: reviews, version: v2")], "PERMISSIVE"],
    ["a workload of the root namespace is one of it",
      [peer("istio-system/a", mode("STRICT", forReviews))],              "PERMISSIVE"],
    ["the oldest of the mesh",
      [mesh, peer("istio-system/a", mode("DISABLE"))],                   "STRICT"],
    ["the oldest of a namespace",
      [namespace, peer("default/a", mode("STRICT"))],                    "DISABLE"],
    ["the oldest of a workload",
      [workload, peer("default/a", mode("STRICT", forReviews))],         "PERMISSIVE"],
    ["the oldest, even if it says UNSET",   [peer("default/z", "{}"), namespace, mesh], "STRICT"],
    ["authPolicy of the mesh",              [settings],                  "STRICT"],
    ["before which the mesh goes",          [settings, peer("istio-system/a", mode("DISABLE"))],
      "DISABLE"],
    ["a port before its workload",
      [withPorts("STRICT", "{ 9080: { mode: DISABLE } }")],              "STRICT 9080=DISABLE"],
    ["an UNSET port is as its workload",
      [withPorts("STRICT", "{ 9080: {} }")],                             "STRICT 9080=STRICT"],
    ["a port beside an UNSET workload",
      [mesh, withPorts("UNSET", "{ 1: {}, 2: { mode: PERMISSIVE } }")],
      "STRICT 1=STRICT 2=PERMISSIVE"],
  ];
  test.each([...rows])("%s", (_, given, expected) => {
    const { mode: found, ports: byPort } = mutualTlsOf(setOf(...given), reviews);
    const text = [found, ...Object.entries(byPort).map(([port, own]) => `${port}=${own}`)];
    expect(text.join(" ")).toBe(expected);
  });

  test("and who says so is told", () => {
    const origin = (...given: readonly string[]) => mutualTlsOf(setOf(...given), reviews).origin;
    expect(origin()).toBeUndefined();
    expect(origin(mesh, namespace)?.object).toBe("PeerAuthentication/default/default");
    expect(origin(peer("default/r", mode("UNSET", ports("{ 1: {} }"))))?.object).toBe(
      "PeerAuthentication/default/r",
    );
  });
});

const names = { trustDomains: [] as string[], authorizers: [] };

function policiesOf(node: NodeView, ...given: readonly string[]): readonly string[] {
  const { authorizationPolicies } = accessOf(setOf(...given), node, names);
  return authorizationPolicies.map(({ origin }) => origin?.object.replace(/^\w+\//, "") ?? "");
}

describe("policies are sent to those whom they are for", () => {
  const to = (kind: string, group: string, name: string) =>
    `{ targetRefs: [{ group: ${group}, kind: ${kind}, name: ${name} }] }`;
  const gateway = "gateway.networking.k8s.io";
  const given = [
    policy("istio-system/all", "{}"),
    policy("istio-system/some", "{ selector: { matchLabels: { app: reviews } } }"),
    policy("default/all", "{}"),
    policy("default/v1", "{ selector: { matchLabels: { version: v1 } } }"),
    policy("default/v2", "{ selector: { matchLabels: { version: v2 } } }"),
    policy("default/by-name", to("Service", '""', "reviews")),
    policy("default/other", to("Service", '""', "web")),
    policy("edge/by-gateway", to("Gateway", gateway, "web")),
    policy("edge/other-gateway", to("Gateway", gateway, "other")),
    policy("other/all", "{}"),
  ];

  test("by namespace, labels and name, the oldest first", () => {
    expect(policiesOf(reviews, ...given)).toEqual([
      "istio-system/all",
      "istio-system/some",
      "default/all",
      "default/v1",
      "default/by-name",
    ]);
    expect(policiesOf(web, ...given)).toEqual(["istio-system/all"]);
    expect(policiesOf(edge, ...given)).toEqual(["istio-system/all", "edge/by-gateway"]);
  });

  test("a mixer and a gateway's ports are none of mutual TLS' business", () => {
    const set = setOf(peer("istio-system/default", mode("STRICT")), policy("edge/a", "{}"));
    expect(accessOf(set, edge, names).mutualTls).toBeUndefined();
    expect(toJson(AccessConfigSchema, accessOf(set, { ...web, mode: "mixer" }, names))).toEqual({});
  });
});

test("what a proxy gets has every name in full, and where it was written", () => {
  const set = setOf(
    object(
      "AuthorizationPolicy",
      "default/a",
      `
  action: DENY
  rules:
  - from:
    - source: { principals: [cluster.local/ns/a/sa/b, "*"], ipBlocks: [10.0.0.0/8] }
    - source: { serviceAccounts: [web, edge/web], notTrustDomains: [x] }
    to:
    - operation: { methods: [GET], notPaths: ["/a/{*}"] }
    when:
    - { key: source.principal, notValues: [old.example/ns/a/sa/b] }
    - { key: source.serviceAccount, values: [web] }`,
      ', annotations: { istio.io/dry-run: "true" }',
    ),
    object(
      "RequestAuthentication",
      "default/jwt",
      "{ jwtRules: [{ issuer: i, fromHeaders: [{ name: X-Token, prefix: 'T ' }] }] }",
    ),
  );
  const config = accessOf(set, reviews, { ...names, trustDomains: ["acme", "old.example"] });
  expect(toJson(AccessConfigSchema, config)).toEqual({
    mutualTls: { mode: "MODE_PERMISSIVE" },
    requestAuthentications: [
      {
        origin: {
          object: "RequestAuthentication/default/jwt",
          file: "r.yaml",
          line: expect.any(Number),
          column: 1,
        },
        rules: [
          { issuer: "i", fromHeaders: [{ name: "X-Token", prefix: "T " }], timeoutMs: 5_000 },
        ],
      },
    ],
    authorizationPolicies: [
      {
        origin: { object: "AuthorizationPolicy/default/a", file: "r.yaml", line: 1, column: 1 },
        action: "ACTION_DENY",
        dryRun: true,
        rules: [
          {
            from: [
              {
                principals: ["acme/ns/a/sa/b", "old.example/ns/a/sa/b", "*"],
                ipBlocks: ["10.0.0.0/8"],
              },
              { serviceAccounts: ["default/web", "edge/web"], notTrustDomains: ["x"] },
            ],
            to: [{ methods: ["GET"], notPaths: ["/a/{*}"] }],
            when: [
              {
                key: "source.principal",
                notValues: ["acme/ns/a/sa/b", "old.example/ns/a/sa/b"],
              },
              { key: "source.serviceAccount", values: ["default/web"] },
            ],
          },
        ],
      },
    ],
  });
});

describe("principals count in every domain of the mesh", () => {
  const domains = ["new-td", "old-td", "else"];
  // biome-ignore format: a table
  const rows: readonly (readonly [string, readonly string[]])[] = [
    ["*",                          ["*"]],
    ["*/ns/a/sa/b",                ["*/ns/a/sa/b"]],
    ["*-x",                        ["*-x"]],
    ["old-td/ns/a/sa/b",           ["new-td/ns/a/sa/b", "old-td/ns/a/sa/b", "else/ns/a/sa/b"]],
    ["old-td/ns/a/*",              ["new-td/ns/a/*", "old-td/ns/a/*", "else/ns/a/*"]],
    ["cluster.local/ns/a/sa/b",    ["new-td/ns/a/sa/b", "old-td/ns/a/sa/b", "else/ns/a/sa/b"]],
    ["foreign/ns/a/sa/b",          ["foreign/ns/a/sa/b"]],
    ["*-td/ns/a/sa/b",             ["*-td/ns/a/sa/b", "else/ns/a/sa/b"]],
    ["*-other/ns/a/sa/b",          ["*-other/ns/a/sa/b"]],
    ["sa1",                        ["sa1"]],
  ];
  test.each([...rows])("%s", (written, expected) => {
    expect(inDomains(written, domains)).toEqual(expected);
  });
  test("without one, they are as they were written", () => {
    expect(inDomains("cluster.local/ns/a/sa/b", [])).toEqual(["cluster.local/ns/a/sa/b"]);
  });
});

describe("an instance has an identity where its proxy takes mutual TLS", () => {
  const instance: ServiceInstance = {
    ...{ host: reviews.service, address: "10.0.0.1", port: 15_006, servicePort: 9_080 },
    ...{ labels: reviews.labels, locality: "", weight: 1, healthy: true, workload: "r" },
    mutualTls: true,
  };
  const id = (...path: readonly string[]) => `spiffe://acme/${path.join("/")}`;
  const disablePort = (port: number): readonly string[] => [
    peer("default/d", mode("STRICT", ports(`{ ${port}: { mode: DISABLE } }`))),
  ];
  type Row = readonly [string, Partial<ServiceInstance>, readonly string[], string | undefined];
  const own = id("ns/default/sa/reviews");
  // biome-ignore format: a table
  const rows: readonly Row[] = [
    ["named as its service",      {},                                 [], own],
    ["as its account",            { serviceAccount: "robot" },       [], id("ns/default/sa/robot")],
    ["of another namespace",      { serviceAccount: "other/robot" }, [], id("ns/other/sa/robot")],
    ["its proxy takes none",      { mutualTls: false },               [], undefined],
    ["no service of the mesh",    { host: "a.example" },              [], undefined],
    ["but with an account",
      { host: "a.example", serviceAccount: "b" },                     [], id("ns/default/sa/b")],
    ["which decides nothing",
      { serviceAccount: "other/robot" }, [peer("other/d", mode("DISABLE"))],
      id("ns/other/sa/robot")],
    ["STRICT",                    {}, [peer("default/d", mode("STRICT"))],    own],
    ["DISABLE",                   {}, [peer("default/d", mode("DISABLE"))],   undefined],
    ["DISABLE of its port",       {},                       disablePort(9_080), undefined],
    ["DISABLE of another",        {},                       disablePort(80),  own],
    ["by the application's port", { appPort: 80 },          disablePort(80),  undefined],
  ];
  test.each([...rows])("%s", (_, some, given, expected) => {
    const [found] = withIdentities([{ ...instance, ...some }], setOf(...given), "acme");
    expect(found?.identity).toBe(expected as string);
  });
  test("and none in a mesh without an authority", () => {
    expect(withIdentities([instance], setOf(), "")).toEqual([instance]);
  });
});
