/** What becomes of ports that are not HTTP, as the proxy is told. */
import { describe, expect, test } from "bun:test";
import type { ProxyConfig } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { Cluster_Discovery, Cluster_Protocol } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { formatProblem, isError } from "../../core/problem.ts";
import { readDocuments } from "../../dialect/read.ts";
import type { Service, ServicePort } from "../../model/service.ts";
import { staticRegistryOf } from "../registry/static-registry.ts";
import { ruleSetOf } from "./rule-set.ts";
import { translate } from "./translate.ts";

const DOMAIN = "cluster.local";
const MYSQL = "mysql.default.svc.cluster.local";

const node = {
  service: "web.default.svc.cluster.local",
  namespace: "default",
  labels: { version: "v1" },
};

function configFor(yaml: string, ...services: Service[]): ProxyConfig {
  const options = { file: "rules.yaml", namespace: "default", domain: DOMAIN };
  const { configs, problems } = readDocuments(yaml, options);
  expect(problems.filter(isError).map(formatProblem)).toEqual([]);
  const registry = staticRegistryOf(configs);
  const all = [...services, ...registry.services];
  return translate(ruleSetOf(configs, DOMAIN), all, registry.instances, node);
}

function service(host: string, port: ServicePort, addresses: readonly string[] = []): Service {
  return {
    host,
    namespace: "default",
    addresses,
    ports: [port],
    resolution: "STATIC",
    external: false,
    registry: "test",
  };
}

const mysqlPort: ServicePort = { name: "mysql", number: 3_306, protocol: "MYSQL" };

/** Name, port, addresses, server names, and the routes with their clusters and weights. */
function shown({ tcpDestinations }: ProxyConfig): readonly unknown[] {
  return tcpDestinations.map(({ name, port, addresses, serverNames, routes }) => ({
    name,
    port,
    ...(addresses.length > 0 && { addresses }),
    ...(serverNames.length > 0 && { serverNames }),
    routes: routes.map(({ name: route, clusters }) => ({
      [route]: Object.fromEntries(clusters.map(({ cluster, weight }) => [cluster, weight])),
    })),
  }));
}

function rule(name: string, ...spec: string[]): string {
  return [
    "---",
    "apiVersion: config.istio.io/v1alpha2",
    "kind: RouteRule",
    `metadata: { name: ${name} }`,
    "spec:",
    "  destination: { name: mysql }",
    ...spec.map((line) => `  ${line}`),
    "",
  ].join("\n");
}

function entry(name: string, ...spec: string[]): string {
  return [
    "---",
    "apiVersion: networking.istio.io/v1",
    "kind: ServiceEntry",
    `metadata: { name: ${name} }`,
    "spec:",
    ...spec.map((line) => `  ${line}`),
    "",
  ].join("\n");
}

function egress(name: string, host: string, port: number, protocol: string): string {
  return [
    "---",
    "apiVersion: config.istio.io/v1alpha2",
    "kind: EgressRule",
    `metadata: { name: ${name} }`,
    "spec:",
    `  destination: { service: "${host}" }`,
    `  ports: [{ port: ${port}, protocol: ${protocol} }]`,
    "",
  ].join("\n");
}

const all = `outbound|3306||${MYSQL}`;
const v1 = `outbound|3306|version=v1|${MYSQL}`;
const v2 = `outbound|3306|version=v2|${MYSQL}`;

describe("a port of a service", () => {
  test.each(["TCP", "MONGO", "REDIS", "MYSQL"] as const)(
    "of %s is told by its address",
    (protocol) => {
      const port = { name: "p", number: 9, protocol };
      const config = configFor("", service("a.b.svc.cluster.local", port, ["10.0.0.9", "fd00::9"]));
      expect(shown(config)).toEqual([
        {
          name: "a.b.svc.cluster.local:9",
          port: 9,
          addresses: ["10.0.0.9", "fd00::9"],
          routes: [{ "default-route": { "outbound|9||a.b.svc.cluster.local": 100 } }],
        },
      ]);
      expect(config.clusters.map((one) => one.protocol)).toEqual([Cluster_Protocol.TCP]);
    },
  );

  test("without an address is told by its port alone", () => {
    expect(shown(configFor("", service(MYSQL, mysqlPort)))).toEqual([
      { name: `${MYSQL}:3306`, port: 3_306, routes: [{ "default-route": { [all]: 100 } }] },
    ]);
  });

  test.each(["TLS", "HTTPS"] as const)(
    "of %s without an address is told by its names",
    (protocol) => {
      const port = { name: "p", number: 443, protocol };
      const [one] = configFor("", service(MYSQL, port)).tcpDestinations;
      expect(one?.serverNames).toEqual([
        "mysql",
        "mysql.default",
        "mysql.default.svc",
        "mysql.default.svc.cluster",
        "mysql.default.svc.cluster.local",
      ]);
      const [addressed] = configFor("", service(MYSQL, port, ["10.0.0.9"])).tcpDestinations;
      expect([addressed?.serverNames, addressed?.addresses]).toEqual([[], ["10.0.0.9"]]);
    },
  );

  test.each(["HTTP", "HTTP2", "GRPC"] as const)("of %s is routed by request", (protocol) => {
    const config = configFor("", service(MYSQL, { name: "p", number: 80, protocol }));
    expect(config.tcpDestinations).toEqual([]);
  });

  test("of UDP is nothing to a proxy", () => {
    const config = configFor("", service(MYSQL, { name: "p", number: 53, protocol: "UDP" }));
    expect([config.tcpDestinations, config.virtualHosts, config.clusters]).toEqual([[], [], []]);
  });
});

describe("a service entry", () => {
  test("of TCP to a block of addresses goes where the caller wanted", () => {
    const yaml = entry(
      "db",
      "hosts: [db.example]",
      "addresses: [192.0.2.0/24]",
      "ports: [{ number: 5432, name: tcp, protocol: TCP }]",
      "resolution: NONE",
    );
    const config = configFor(yaml);
    expect(shown(config)).toEqual([
      {
        name: "db.example:5432",
        port: 5_432,
        addresses: ["192.0.2.0/24"],
        routes: [{ "default-route": { "outbound|5432||db.example": 100 } }],
      },
    ]);
    expect(config.clusters.map((one) => one.discovery)).toEqual([Cluster_Discovery.ORIGINAL]);
  });

  test("of TLS to several hosts is told by their names", () => {
    const yaml = entry(
      "apis",
      "hosts: [api.example, '*.cdn.example']",
      "ports: [{ number: 443, name: tls, protocol: TLS }]",
      "resolution: NONE",
    );
    expect(configFor(yaml).tcpDestinations.map(({ serverNames }) => serverNames)).toEqual([
      ["*.cdn.example"],
      ["api.example"],
    ]);
  });
});

describe("an egress rule", () => {
  test("for connections to a block goes where the caller wanted", () => {
    const config = configFor(egress("db", "10.9.0.0/16", 27_017, "mongo"));
    expect(shown(config)).toEqual([
      {
        name: "10.9.0.0/16:27017",
        port: 27_017,
        addresses: ["10.9.0.0/16"],
        routes: [{ "default-route": { "outbound|27017||10.9.0.0/16": 100 } }],
      },
    ]);
    expect(config.clusters.map((one) => one.discovery)).toEqual([Cluster_Discovery.ORIGINAL]);
  });

  test("for HTTPS is told by the name that TLS asks for", () => {
    const config = configFor(egress("tls", "*.example.com", 443, "https"));
    expect(config.tcpDestinations).toMatchObject([
      { name: "*.example.com:443", port: 443, addresses: [], serverNames: ["*.example.com"] },
    ]);
  });

  test("of a block that another names too leaves it to the first by name", () => {
    const both = egress("b", "10.9.0.0/16", 80, "tcp") + egress("a", "10.9.0.0/16", 80, "tcp");
    expect(configFor(both).tcpDestinations).toHaveLength(1);
  });

  test("for HTTP is routed by request", () => {
    expect(configFor(egress("web", "a.example", 80, "http")).tcpDestinations).toEqual([]);
  });
});

describe("a route rule", () => {
  const routesWith = (...rules: string[]) =>
    configFor(rules.join(""), service(MYSQL, mysqlPort)).tcpDestinations.flatMap(
      ({ routes }) => routes,
    );
  const names = (...rules: string[]) => routesWith(...rules).map(({ name }) => name);

  test("on TCP splits the connections of its destination by weight", () => {
    const yaml = rule(
      "canary",
      "match: { tcp: {} }",
      "route:",
      "- { labels: { version: v1 }, weight: 90 }",
      "- { labels: { version: v2 }, weight: 10 }",
    );
    const config = configFor(yaml, service(MYSQL, mysqlPort));
    expect(shown(config)).toEqual([
      {
        name: `${MYSQL}:3306`,
        port: 3_306,
        routes: [{ "default/canary": { [v1]: 90, [v2]: 10 } }],
      },
    ]);
    expect(config.tcpDestinations[0]?.routes[0]?.origin).toMatchObject({
      file: "rules.yaml",
      object: "RouteRule/default/canary",
    });
    expect(config.clusters.map((one) => one.name)).toEqual(expect.arrayContaining([v1, v2]));
  });

  test("on TCP may ask for addresses of either side, and leaves the rest to the default", () => {
    const yaml = rule(
      "some",
      "match: { tcp: { sourceSubnet: [10.0.0.0/8], destinationSubnet: [192.0.2.0/24] } }",
      "route: [{ labels: { version: v2 } }]",
    );
    expect(routesWith(yaml)).toMatchObject([
      {
        name: "default/some",
        sourceSubnets: ["10.0.0.0/8"],
        destinationSubnets: ["192.0.2.0/24"],
        clusters: [{ cluster: v2, weight: 100 }],
      },
      { name: "default-route", clusters: [{ cluster: all, weight: 100 }] },
    ]);
  });

  test("on TCP is tried by precedence, up to the first that takes all", () => {
    const subnet = "match: { tcp: { sourceSubnet: [10.0.0.0/8] } }";
    expect(
      names(
        rule("low", "match: { tcp: {} }", "precedence: 1"),
        rule("lower", subnet),
        rule("high", "precedence: 2", subnet),
      ),
    ).toEqual(["default/high", "default/low"]);
  });

  test("on TCP from another caller is not for this one", () => {
    expect(names(rule("other", "match: { source: { name: other }, tcp: {} }"))).toEqual([
      "default-route",
    ]);
    expect(names(rule("web", "match: { source: { name: web }, tcp: {} }"))).toEqual([
      "default/web",
    ]);
  });

  test("without a word of TCP is for requests alone", () => {
    expect(names(rule("plain", "route: [{ labels: { version: v2 } }]"))).toEqual(["default-route"]);
  });

  test("on TCP and on requests at once can never match", () => {
    const yaml = rule("odd", "match: { tcp: {}, request: { headers: { uri: { exact: /a } } } }");
    expect(names(yaml)).toEqual(["default-route"]);
  });
});
