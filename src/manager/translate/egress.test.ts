/** Hosts outside of the mesh, as egress rules let them be called. */
import { expect, test } from "bun:test";
import {
  Cluster_Discovery,
  Cluster_Protocol,
  type ProxyConfig,
  type Route,
  type VirtualHost,
} from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { formatProblem, isError } from "../../core/problem.ts";
import { readDocuments } from "../../dialect/read.ts";
import { ruleSetOf } from "./rule-set.ts";
import { translate } from "./translate.ts";

function configFor(yaml: string): ProxyConfig {
  const options = { file: "rules.yaml", namespace: "default", domain: "cluster.local" };
  const { configs, problems } = readDocuments(yaml, options);
  expect(problems.filter(isError).map(formatProblem)).toEqual([]);
  const node = { service: "", namespace: "default", labels: {} };
  return translate(ruleSetOf(configs, "cluster.local"), [], [], node);
}

function virtualHost(config: ProxyConfig, name: string): VirtualHost {
  expect(config.virtualHosts.map((one) => one.name)).toContain(name);
  return config.virtualHosts.find((one) => one.name === name)!;
}

function weights(route: Route | undefined): Record<string, number> {
  if (route?.action.case !== "forward") return {};
  return Object.fromEntries(
    route.action.value.clusters.map(({ cluster, weight }) => [cluster, weight]),
  );
}

function egress(name: string, service: string, ports: string): string {
  return [
    "---",
    "apiVersion: config.istio.io/v1alpha2",
    "kind: EgressRule",
    `metadata: { name: ${name} }`,
    "spec:",
    `  destination: { service: "${service}" }`,
    `  ports: ${ports}`,
    "",
  ].join("\n");
}

test("hosts of an egress rule are called where the request says, by the rules for them", () => {
  const yaml = [
    egress("web", "*.example.com", "[{ port: 80, protocol: http }]"),
    [
      "---",
      "apiVersion: config.istio.io/v1alpha2",
      "kind: RouteRule",
      "metadata: { name: patient }",
      "spec:",
      '  destination: { service: "*.example.com" }',
      "  httpReqTimeout: { simpleTimeout: { timeout: 60s } }",
      "",
    ].join("\n"),
  ].join("");
  const config = configFor(yaml);
  const found = virtualHost(config, "*.example.com:80");
  expect(found.domains).toEqual(["*.example.com", "*.example.com:80"]);
  expect(found.routes.map(({ timeoutMs }) => timeoutMs)).toEqual([60_000]);
  const cluster = config.clusters.find(({ service }) => service === "*.example.com");
  expect(cluster?.discovery).toBe(Cluster_Discovery.ORIGINAL);
  expect(weights(found.routes[0])).toEqual({ [cluster?.name ?? ""]: 100 });
});

test("plain HTTP to a host over TLS is made TLS; who speaks it himself passes as a tunnel", () => {
  const config = configFor(egress("tls", "api.example", "[{ port: 443, protocol: https }]"));
  const { domains, routes: found } = virtualHost(config, "api.example:443");
  expect(domains).toEqual(["api.example", "api.example:443"]);
  expect(found).toMatchObject([
    {
      match: { method: { kind: { value: "CONNECT" } } },
      action: { value: { clusters: [{ cluster: "tunnel|443||api.example" }] } },
    },
    { action: { value: { clusters: [{ cluster: "outbound|443||api.example" }] } } },
  ]);
  const kinds = config.clusters.map(({ name, discovery, protocol, tls }) => ({
    ...{ name, discovery, protocol, secure: tls !== undefined },
  }));
  const discovery = Cluster_Discovery.ORIGINAL;
  const protocol = Cluster_Protocol.HTTP;
  expect(kinds).toEqual([
    { name: "outbound|443||api.example", discovery, protocol, secure: true },
    {
      ...{ name: "tunnel|443||api.example", discovery, secure: false },
      protocol: Cluster_Protocol.TCP,
    },
  ]);
});

test("hosts that two egress rules name belong to the first", () => {
  const yaml = [
    egress("b", "api.example", "[{ port: 80, protocol: http }, { port: 81, protocol: http }]"),
    egress("a", "api.example", "[{ port: 80, protocol: http }]"),
  ].join("");
  const config = configFor(yaml);
  const of80 = config.virtualHosts.filter(({ name }) => name === "api.example:80");
  expect(of80).toHaveLength(1);
  expect(of80[0]?.domains).toEqual(["api.example", "api.example:80"]);
});
