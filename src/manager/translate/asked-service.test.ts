/** Whoever a proxy has to ask by itself is known to it, be there a route to it or not. */
import { expect, test } from "bun:test";
import type { ProxyConfig } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { isError } from "../../core/problem.ts";
import { readDocuments } from "../../dialect/read.ts";
import type { Service } from "../../model/service.ts";
import { ruleSetOf } from "./rule-set.ts";
import { translate } from "./translate.ts";

const HOST = "opa.default.svc.cluster.local";

const opa: Service = {
  ...{ host: HOST, namespace: "default", addresses: [], resolution: "STATIC" },
  ports: [
    { name: "http", number: 9191, protocol: "HTTP" },
    { name: "grpc", number: 9000, protocol: "GRPC" },
  ],
  ...{ external: false, registry: "local" },
};
const outside: Service = {
  ...{ host: "auth.example.com", namespace: "default", addresses: [], resolution: "DNS" },
  ports: [{ name: "https", number: 443, protocol: "HTTPS" }],
  ...{ external: true, registry: "file" },
};

const provider = (service: string, port: number): string => `
- { name: "${service}", envoyExtAuthzHttp: { service: ${service}, port: ${port} } }`;
const providers = [
  provider(HOST, 9191),
  provider("auth.example.com", 443),
  provider("api.example.com", 443),
  provider("10.1.2.3", 80),
];
const meshConfig = (more = "") => `kind: MeshConfig
${more}
extensionProviders:${providers.join("")}
`;
const egress = `apiVersion: config.istio.io/v1alpha2
kind: EgressRule
metadata: { name: api }
spec: { destination: { service: api.example.com }, ports: [{ port: 443, protocol: https }] }
`;
/** No route leads to all of the service. */
const onlyFirst = `apiVersion: config.istio.io/v1alpha2
kind: RouteRule
metadata: { name: opa }
spec: { destination: { name: opa }, route: [{ labels: { version: v1 } }] }
`;

function clustersOf(mode: "sidecar" | "gateway", ...documents: readonly string[]): ProxyConfig {
  const text = documents.join("---\n");
  const { configs, problems } = readDocuments(text, { file: "a.yaml", namespace: "default" });
  expect(problems.filter(isError)).toEqual([]);
  const node = { service: "", namespace: "default", labels: {}, mode };
  return translate(ruleSetOf(configs, "cluster.local"), [opa, outside], [], node);
}

const asked = [`outbound|9191||${HOST}`, "outbound|443||auth.example.com"];

test.each(["sidecar", "gateway"] as const)("to a %s, whatever routes lead to", (mode) => {
  const { clusters } = clustersOf(mode, meshConfig(), egress, onlyFirst);
  const byName = new Map(clusters.map((cluster) => [cluster.name, cluster]));
  for (const name of [...asked, "outbound|443||api.example.com"])
    expect([name, byName.has(name)]).toEqual([name, true]);
  // What speaks HTTPS outside of the mesh is called by it.
  expect(byName.get("outbound|443||auth.example.com")!.tls).toBeDefined();
  expect(byName.get("outbound|443||api.example.com")!.tls).toBeDefined();
  expect(byName.get(asked[0]!)!.tls).toBeUndefined();
  expect([...byName.keys()].filter((name) => name.includes("10.1.2.3"))).toEqual([]);
});

test("a gateway knows of nobody else", () => {
  const text = `kind: MeshConfig\nextensionProviders:${provider(HOST, 9191)}\n`;
  expect(clustersOf("gateway", text, egress).clusters.map(({ name }) => name)).toEqual([
    `outbound|9191||${HOST}`,
  ]);
  expect(clustersOf("gateway", "kind: MeshConfig\n", egress).clusters).toEqual([]);
});

test("behind an egress proxy it is said to be so", () => {
  const { clusters } = clustersOf("sidecar", meshConfig("egressProxyAddress: egress:80"));
  const via = clusters.filter(({ viaEgressProxy }) => viaEgressProxy).map(({ name }) => name);
  expect(via).toEqual(["outbound|443||auth.example.com"]);
});

test("a gateway knows of services that have keys of tokens", () => {
  const text = `apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: keys }
spec:
  jwtRules:
  - { issuer: a, jwksUri: "http://opa.default:9191/keys" }
  - { issuer: b, jwksUri: "https://opa.default:9000/keys" }
  - { issuer: c, jwksUri: "http://elsewhere.example/keys" }
`;
  const names = clustersOf("gateway", text).clusters.map(({ name }) => name);
  expect(names).toEqual([`outbound|9191||${HOST}`]);
});
