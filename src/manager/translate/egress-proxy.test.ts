/** What the setting egressProxyAddress does to services outside of the mesh. */
import { expect, test } from "bun:test";
import {
  type Cluster,
  Cluster_Discovery,
  type ProxyConfig,
  type VirtualHost,
} from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { formatProblem, isError } from "../../core/problem.ts";
import { readDocuments } from "../../dialect/read.ts";
import { staticRegistryOf } from "../registry/static-registry.ts";
import { ruleSetOf } from "./rule-set.ts";
import { translate } from "./translate.ts";

const services = `
kind: ServiceEntry
apiVersion: networking.istio.io/v1
metadata: { name: outside }
spec:
  hosts: [httpbin.org]
  location: MESH_EXTERNAL
  resolution: DNS
  ports:
  - { name: http, number: 80, protocol: HTTP }
  - { name: http-alt, number: 8080, protocol: HTTP }
  - { name: https, number: 443, protocol: HTTPS }
  - { name: tls, number: 8443, protocol: TLS }
---
kind: ServiceEntry
apiVersion: networking.istio.io/v1
metadata: { name: inside }
spec:
  hosts: [legacy.example]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ name: http, number: 80, protocol: HTTP }]
  endpoints: [{ address: 10.0.0.1 }]
`;
const proxied = "---\nkind: MeshConfig\negressProxyAddress: istio-egress:8888\n";

function rule(destination: string, ...lines: string[]): string {
  const spec = [`destination: { service: ${destination} }`, ...lines].map((line) => `  ${line}\n`);
  const head = "apiVersion: config.istio.io/v1alpha2\nkind: RouteRule\nmetadata: { name: x }\n";
  return `---\n${head}spec:\n${spec.join("")}`;
}

/** For a proxy of `caller`. */
function configFor(yaml: string, caller = ""): ProxyConfig {
  const options = { file: "rules.yaml", namespace: "default", domain: "cluster.local" };
  const { configs, problems } = readDocuments(services + yaml, options);
  expect(problems.filter(isError).map(formatProblem)).toEqual([]);
  const registry = staticRegistryOf(configs);
  const node = { service: caller, namespace: "default", labels: {} };
  const rules = ruleSetOf(configs, "cluster.local");
  return translate(rules, registry.services, registry.instances, node);
}

function virtualHost(config: ProxyConfig, name: string): VirtualHost {
  return config.virtualHosts.find((one) => one.name === name)!;
}

function cluster(config: ProxyConfig, name: string): Cluster {
  return config.clusters.find((one) => one.name === name)!;
}

function endpoints(config: ProxyConfig, name: string): readonly string[] {
  const set = config.endpointSets.find((one) => one.cluster === name);
  return set!.endpoints.map(({ address, port }) => `${address}:${port}`);
}

function hostsSent(config: ProxyConfig, name: string): readonly (string | undefined)[] {
  return virtualHost(config, name).routes.map(({ rewrite }) => rewrite?.authority);
}

test("HTTP to an external service goes to the egress proxy, which is told the host", () => {
  const config = configFor(proxied);
  expect(endpoints(config, "outbound|80||httpbin.org")).toEqual(["istio-egress:8888"]);
  expect(cluster(config, "outbound|80||httpbin.org").discovery).toBe(Cluster_Discovery.DNS);
  expect(hostsSent(config, "httpbin.org:80")).toEqual(["httpbin.org"]);
  expect(hostsSent(config, "httpbin.org:8080")).toEqual(["httpbin.org:8080"]);
});

test("without an egress proxy, and to what is not HTTP or not external, calls go directly", () => {
  const direct = configFor("");
  expect(endpoints(direct, "outbound|80||httpbin.org")).toEqual(["httpbin.org:80"]);
  expect(hostsSent(direct, "httpbin.org:80")).toEqual([undefined]);
  const config = configFor(proxied);
  expect(endpoints(config, "outbound|8443||httpbin.org")).toEqual(["httpbin.org:8443"]);
  expect(endpoints(config, "outbound|80||legacy.example")).toEqual(["10.0.0.1:80"]);
  expect(hostsSent(config, "legacy.example:80")).toEqual([undefined]);
});

test("plain HTTP to a port of HTTPS goes to the egress proxy, tunnels through it directly", () => {
  const [tunnel, plain] = virtualHost(configFor(proxied), "httpbin.org:443").routes;
  expect(tunnel).toMatchObject({
    match: { method: { kind: { value: "CONNECT" } } },
    action: { value: { clusters: [{ cluster: "tunnel|443||httpbin.org" }] } },
  });
  expect(plain).toMatchObject({
    action: { value: { clusters: [{ cluster: "outbound|443||httpbin.org" }] } },
    rewrite: { authority: "httpbin.org:443" },
  });
  const config = configFor(proxied);
  expect(endpoints(config, "tunnel|443||httpbin.org")).toEqual(["httpbin.org:443"]);
  expect(endpoints(config, "outbound|443||httpbin.org")).toEqual(["istio-egress:8888"]);
  const own = configFor("");
  expect(virtualHost(own, "httpbin.org:443").routes).toHaveLength(2);
  const secure = own.clusters.filter(({ tls }) => tls !== undefined);
  expect(secure.map(({ name }) => name)).toEqual(["outbound|443||httpbin.org"]);
  expect(config.clusters.filter(({ tls }) => tls !== undefined)).toEqual([]);
});

test("what an egress rule lets out goes to the egress proxy too, but for connections", () => {
  const egress = `---
apiVersion: config.istio.io/v1alpha2
kind: EgressRule
metadata: { name: out }
spec:
  destination: { service: "*.example.com" }
  ports:
  - { port: 80, protocol: http }
  - { port: 443, protocol: https }
  - { port: 8080, protocol: http }
`;
  const facts = (config: ProxyConfig) =>
    config.clusters
      .filter(({ name }) => name.endsWith("example.com"))
      .map(({ name, discovery, tls }) => {
        const to = config.endpointSets.find(({ cluster }) => cluster === name)?.endpoints ?? [];
        const where = to.map(({ address, port }) => `${address}:${port}`).join();
        return [name.replace("||*.example.com", ""), Cluster_Discovery[discovery], where, !!tls];
      });
  expect(facts(configFor(proxied + egress))).toEqual([
    ["outbound|443", "DNS", "istio-egress:8888", false],
    ["outbound|8080", "DNS", "istio-egress:8888", false],
    ["outbound|80", "DNS", "istio-egress:8888", false],
    ["tunnel|443", "ORIGINAL", "", false],
  ]);
  const direct = [
    ["outbound|443", "ORIGINAL", "", true],
    ["outbound|8080", "ORIGINAL", "", false],
    ["outbound|80", "ORIGINAL", "", false],
    ["tunnel|443", "ORIGINAL", "", false],
  ];
  expect(facts(configFor(egress))).toEqual(direct);
  const own = configFor(proxied + egress, "istio-egress.default.svc.cluster.local");
  expect(facts(own)).toEqual(direct);
  expect(hostsSent(configFor(proxied + egress), "*.example.com:80")).toEqual([undefined]);
});

test("the egress proxy itself calls directly", () => {
  const own = configFor(proxied, "istio-egress.default.svc.cluster.local");
  expect(endpoints(own, "outbound|80||httpbin.org")).toEqual(["httpbin.org:80"]);
});

test("rules for an external service hold; a Host of theirs is the one that is sent", () => {
  const rewritten = configFor(proxied + rule("httpbin.org", "rewrite: { authority: other.org }"));
  expect(hostsSent(rewritten, "httpbin.org:80")).toEqual(["other.org"]);
  const patient = rule("httpbin.org", "rewrite: { uri: /v2 }", "mirror: { service: httpbin.org }");
  const [route] = virtualHost(configFor(proxied + patient), "httpbin.org:80").routes;
  expect(route?.rewrite).toMatchObject({ uri: "/v2", authority: "httpbin.org" });
  const moved = configFor(proxied + rule("httpbin.org", "redirect: { uri: /new }"));
  expect(hostsSent(moved, "httpbin.org:80")).toEqual([undefined]);
});

test("a rule that leads out of the mesh sends the Host of where it leads, if that is one", () => {
  const out = "route: [{ destination: { service: httpbin.org } }]";
  const config = configFor(proxied + rule("legacy.example", out));
  expect(hostsSent(config, "legacy.example:80")).toEqual(["httpbin.org"]);
  const half = "route: [{ destination: { service: httpbin.org }, weight: 50 }, { weight: 50 }]";
  const split = configFor(proxied + rule("legacy.example", half));
  expect(hostsSent(split, "legacy.example:80")).toEqual([undefined]);
});

test("an address may be one of IPv6", () => {
  const config = configFor("---\nkind: MeshConfig\negressProxyAddress: '[::1]:8888'\n");
  expect(endpoints(config, "outbound|80||httpbin.org")).toEqual(["::1:8888"]);
});
