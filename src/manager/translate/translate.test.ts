/** What rules do to a proxy's configuration, from the YAML that operators write. */
import { describe, expect, test } from "bun:test";
import {
  LoadBalancer,
  PathNormalization_EscapedSlashes,
  PathNormalization_Form,
  type ProxyConfig,
  ProxySettings_OutboundPolicy,
  RetryPolicy_Condition,
  RetryPolicy_Hedge,
  type Route,
  type VirtualHost,
} from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { formatProblem } from "../../core/problem.ts";
import { readDocuments } from "../../dialect/read.ts";
import type { Service, ServiceInstance } from "../../model/service.ts";
import { ruleSetOf } from "./rule-set.ts";
import type { NodeView } from "./source.ts";
import { translate } from "./translate.ts";

const DOMAIN = "cluster.local";

function host(name: string): string {
  return `${name}.default.svc.${DOMAIN}`;
}

function service(name: string, ...ports: Service["ports"]): Service {
  return {
    host: name.includes(".") ? name : host(name),
    namespace: "default",
    addresses: [],
    ports: ports.length > 0 ? ports : [{ name: "http", number: 9080, protocol: "HTTP" }],
    resolution: "STATIC",
    external: false,
    registry: "local",
  };
}

function instance(name: string, version: string, port: number, healthy = true): ServiceInstance {
  return {
    host: host(name),
    address: "127.0.0.1",
    port,
    servicePort: 9080,
    labels: { version },
    locality: "",
    weight: 1,
    healthy,
    workload: `${name}-${version}.default`,
  };
}

const bookinfo = [service("productpage"), service("reviews"), service("ratings")];
const reviews = [
  instance("reviews", "v1", 1001),
  instance("reviews", "v2", 1002),
  instance("reviews", "v3", 1003, false),
];
const productpage: NodeView = {
  service: host("productpage"),
  namespace: "default",
  labels: { version: "v1", app: "productpage" },
};

interface Mesh {
  readonly services?: readonly Service[];
  readonly instances?: readonly ServiceInstance[];
  readonly node?: NodeView;
}

/** The configuration of productpage's proxy in Bookinfo, unless told otherwise. */
function configFor(yaml: string, mesh: Mesh = {}): ProxyConfig {
  const { services = bookinfo, instances = reviews, node = productpage } = mesh;
  const read = readDocuments(yaml, { file: "rules.yaml", namespace: "default", domain: DOMAIN });
  expect(read.problems.filter(({ severity }) => severity === "error").map(formatProblem)).toEqual(
    [],
  );
  return translate(ruleSetOf(read.configs, DOMAIN), services, instances, node);
}

function rule(name: string, ...lines: string[]): string {
  return [
    "---",
    "apiVersion: config.istio.io/v1alpha2",
    "kind: RouteRule",
    `metadata: { name: ${name} }`,
    "spec:",
    "  destination: { name: reviews }",
    ...lines.map((line) => `  ${line}`),
    "",
  ].join("\n");
}

function virtualHost(config: ProxyConfig, name: string): VirtualHost {
  const found = config.virtualHosts.find((one) => one.name === name);
  expect(config.virtualHosts.map((one) => one.name)).toContain(name);
  return found!;
}

function routes(yaml: string, mesh?: Mesh): readonly Route[] {
  return virtualHost(configFor(yaml, mesh), `${host("reviews")}:9080`).routes;
}

function names(yaml: string, mesh?: Mesh): readonly string[] {
  return routes(yaml, mesh).map(({ name }) => name);
}

function weights(route: Route | undefined): Record<string, number> {
  if (route?.action.case !== "forward") return {};
  return Object.fromEntries(
    route.action.value.clusters.map(({ cluster, weight }) => [cluster, weight]),
  );
}

function endpointPorts(config: ProxyConfig, cluster: string): readonly number[] | undefined {
  return config.endpointSets
    .find((set) => set.cluster === cluster)
    ?.endpoints.map(({ port }) => port);
}

const all = `outbound|9080||${host("reviews")}`;
const v1 = `outbound|9080|version=v1|${host("reviews")}`;
const v3 = `outbound|9080|version=v3|${host("reviews")}`;

describe("a service without rules", () => {
  test("has one route to all healthy instances, and retries what was never processed", () => {
    const config = configFor("");
    const [only, ...more] = virtualHost(config, `${host("reviews")}:9080`).routes;
    expect(more).toEqual([]);
    expect(only).toMatchObject({ name: "default-route", timeoutMs: 0, websocket: true });
    expect(weights(only)).toEqual({ [all]: 100 });
    expect(only?.retry?.on).toEqual([
      RetryPolicy_Condition.CONDITION_CONNECT_FAILURE,
      RetryPolicy_Condition.CONDITION_REFUSED_STREAM,
      RetryPolicy_Condition.CONDITION_IDEMPOTENT_RESET,
    ]);
    expect(endpointPorts(config, all)).toEqual([1001, 1002]);
  });

  test("is called by every shortening of its name, with and without its only HTTP port", () => {
    expect(virtualHost(configFor(""), `${host("reviews")}:9080`).domains).toEqual(
      [
        "",
        ".default",
        ".default.svc",
        ".default.svc.cluster",
        ".default.svc.cluster.local",
      ].flatMap((rest) => [`reviews${rest}`, `reviews${rest}:9080`]),
    );
  });

  test("is called with its namespace from another one", () => {
    const node = { ...productpage, namespace: "prod" };
    const { domains } = virtualHost(configFor("", { node }), `${host("reviews")}:9080`);
    expect(domains).not.toContain("reviews");
    expect(domains).toContain("reviews.default");
  });

  test("with several HTTP ports is called without port on 80 only, and by its addresses", () => {
    const ports: Service["ports"] = [
      { name: "http", number: 80, protocol: "HTTP" },
      { name: "http-admin", number: 8080, protocol: "HTTP" },
      { name: "tcp", number: 3306, protocol: "MYSQL" },
    ];
    const addresses = ["10.0.0.9", "fd00::9", "10.1.0.0/16"];
    const config = configFor("", { services: [{ ...service("reviews", ...ports), addresses }] });
    const on80 = virtualHost(config, `${host("reviews")}:80`).domains;
    const on8080 = virtualHost(config, `${host("reviews")}:8080`).domains;
    expect(on80).toEqual(expect.arrayContaining(["reviews", "10.0.0.9", "[fd00::9]:80"]));
    expect(on8080).toEqual(expect.arrayContaining(["reviews:8080", "10.0.0.9:8080"]));
    expect(on8080).not.toContain("reviews");
    expect([...on80, ...on8080].filter((domain) => domain.includes("/"))).toEqual([]);
    expect(config.virtualHosts).toHaveLength(3);
    const { domains, routes: tunnels } = virtualHost(config, `${host("reviews")}:3306`);
    expect(domains).toContain("reviews:3306");
    expect(domains).not.toContain("reviews");
    expect(tunnels).toMatchObject([{ match: { method: { kind: { value: "CONNECT" } } } }]);
    expect(weights(tunnels[0])).toEqual({ [`outbound|3306||${host("reviews")}`]: 100 });
  });

  test("keeps its full name where another service would be called by it", () => {
    const squatter = service("reviews.default");
    const config = configFor("", { services: [service("reviews"), squatter] });
    expect(virtualHost(config, "reviews.default:9080").domains).toContain("reviews.default");
    expect(virtualHost(config, `${host("reviews")}:9080`).domains).not.toContain("reviews.default");
  });

  test("keeps it even where it has two ports, so that without one nobody is meant", () => {
    const two: Service["ports"] = [81, 82].map((number) => ({
      name: `http-${number}`,
      number,
      protocol: "HTTP",
    }));
    const config = configFor("", {
      services: [service("reviews"), service("reviews.default", ...two)],
    });
    const domains = config.virtualHosts.flatMap((one) => one.domains);
    expect(domains).not.toContain("reviews.default");
    expect(domains).toContain("reviews.default:81");
    expect(domains).toContain("reviews");
  });
});

describe("route rules", () => {
  test("split by weight, leaving out what gets nothing", () => {
    const yaml = rule(
      "canary",
      "route:",
      "- { labels: { version: v1 }, weight: 90 }",
      "- { labels: { version: v3 }, weight: 10 }",
    );
    const [only, ...more] = routes(yaml);
    expect(more).toEqual([]);
    expect(only).toMatchObject({ timeoutMs: 15_000, timeoutIsDefault: true });
    expect(weights(only)).toEqual({ [v1]: 90, [v3]: 10 });
    expect(only?.origin).toMatchObject({ file: "rules.yaml", object: "RouteRule/default/canary" });
  });

  test("of weight 0 get nothing, and what is named twice counts twice", () => {
    const routesOf = (...weighted: string[]) =>
      weights(routes(rule("w", "route:", ...weighted))[0]);
    expect(
      routesOf(
        "- { labels: { version: v1 }, weight: 100 }",
        "- { labels: { version: v3 }, weight: 0 }",
      ),
    ).toEqual({ [v1]: 100 });
    expect(routesOf("- { labels: { version: v1 } }")).toEqual({ [v1]: 100 });
    expect(routesOf("- { labels: { version: v1 }, weight: 0 }")).toEqual({ [v1]: 100 });
    expect(
      routesOf(
        "- { labels: { version: v1 }, weight: 60 }",
        "- { labels: { version: v3 }, weight: 30 }",
        "- { labels: { version: v1 }, weight: 10 }",
      ),
    ).toEqual({ [v1]: 70, [v3]: 30 });
  });

  test("may switch retries off", () => {
    const retries = (attempts: number) =>
      routes(rule("r", `httpReqRetries: { simpleRetry: { attempts: ${attempts} } }`))[0]?.retry;
    expect(retries(0)).toBeUndefined();
    expect(retries(2)?.attempts).toBe(2);
  });

  test("may name a version that nobody runs: an empty set, so that the answer is 503 UH", () => {
    const yaml = rule("v3", "route: [{ labels: { version: v3 } }]");
    const config = configFor(yaml);
    expect(weights(virtualHost(config, `${host("reviews")}:9080`).routes[0])).toEqual({
      [v3]: 100,
    });
    expect(endpointPorts(config, v3)).toEqual([]);
  });

  test("are tried by falling precedence, then by name, up to the first catch-all", () => {
    const header = "match: { request: { headers: { cookie: { exact: a } } } }";
    const yaml = [
      rule("b-low", "precedence: 1", header),
      rule("unreachable", "precedence: -1"),
      rule("a-low", "precedence: 1", header),
      rule("everything", "precedence: 0"),
      rule("high", "precedence: 2", header),
    ].join("");
    expect(names(yaml)).toEqual([
      "default/high",
      "default/a-low",
      "default/b-low",
      "default/everything",
    ]);
  });

  test("without a catch-all leave the rest to the default route", () => {
    const yaml = rule(
      "user",
      "match: { request: { headers: { cookie: { regex: '.*jason.*' } } } }",
    );
    expect(names(yaml)).toEqual(["default/user", "default-route"]);
    expect(routes(yaml)[0]?.match).toMatchObject({
      headers: [{ name: "cookie", value: { kind: { case: "regex", value: ".*jason.*" } } }],
    });
  });

  const sources: readonly (readonly [source: string, applies: boolean])[] = [
    ["{ name: productpage }", true],
    ["{ name: ratings }", false],
    ["{ name: productpage, labels: { version: v1 } }", true],
    ["{ name: productpage, labels: { version: v2 } }", false],
    ["{ name: productpage, namespace: other }", false],
  ];
  test.each(sources)("from source %s reach productpage v1: %p", (source, applies) => {
    const yaml = rule("from", `match: { source: ${source} }`);
    expect(names(yaml)).toEqual([applies ? "default/from" : "default-route"]);
  });

  test("match path, method, scheme and authority on their own", () => {
    const yaml = rule(
      "all-of-it",
      "match:",
      "  request:",
      "    headers:",
      "      uri: { prefix: /api }",
      "      method: { exact: GET }",
      "      scheme: { exact: http }",
      "      authority: { prefix: reviews }",
    );
    expect(routes(yaml)[0]?.match).toMatchObject({
      path: { kind: { case: "prefix", value: "/api" } },
      method: { kind: { case: "exact", value: "GET" } },
      scheme: { kind: { case: "exact", value: "http" } },
      authority: { kind: { case: "prefix", value: "reviews" } },
      headers: [],
    });
    expect(names(yaml)).toEqual(["default/all-of-it", "default-route"]);
  });

  test("on TCP connections say nothing about HTTP", () => {
    const yaml = rule("tcp", "match: { tcp: { sourceSubnet: [10.0.0.0/8] } }");
    expect(names(yaml)).toEqual(["default-route"]);
  });

  test("carry redirect, rewrite, timeout, retries, faults, mirror and headers", () => {
    const yaml = [
      rule(
        "moved",
        "precedence: 2",
        "match: { request: { headers: { uri: { exact: /old } } } }",
        "redirect: { uri: /new, authority: reviews.example }",
      ),
      rule(
        "rest",
        "rewrite: { uri: /v2/, authority: other }",
        "httpReqTimeout: { simpleTimeout: { timeout: 2.5s } }",
        "httpReqRetries: { simpleRetry: { attempts: 3, perTryTimeout: 1s, " +
          "hedgeOnPerTryTimeout: ALL } }",
        "httpFault:",
        "  delay: { percent: 0.5, fixedDelay: 2s }",
        "  abort: { percent: 10, httpStatus: 418 }",
        "mirror: { name: ratings }",
        "appendHeaders: { x-b: two, x-a: one }",
        "websocketUpgrade: true",
      ),
    ].join("");
    const [moved, rest] = routes(yaml);
    expect(moved?.action).toMatchObject({
      case: "redirect",
      value: { uri: "/new", authority: "reviews.example" },
    });
    expect(rest).toMatchObject({
      match: { path: { kind: { case: "prefix", value: "/" } } },
      rewrite: { uri: "/v2/", authority: "other" },
      timeoutMs: 2_500,
      timeoutIsDefault: false,
      retry: { attempts: 3, perTryTimeoutMs: 1_000, hedge: RetryPolicy_Hedge.ALL },
      fault: { delayPercent: 0.5, delayMs: 2_000, abortPercent: 10, abortStatus: 418 },
      mirror: { cluster: `outbound|9080||${host("ratings")}`, percent: 100 },
      appendRequestHeaders: [
        { name: "x-a", value: "one" },
        { name: "x-b", value: "two" },
      ],
      websocket: true,
    });
  });

  test("that lead to another service use the called port, or its only HTTP port", () => {
    const yaml = rule("away", "route: [{ destination: { name: other } }]");
    const there = service("other", { name: "http", number: 8080, protocol: "HTTP" });
    const mesh = { services: [...bookinfo, there] };
    expect(weights(routes(yaml, mesh)[0])).toEqual({ [`outbound|8080||${host("other")}`]: 100 });
    expect(weights(routes(yaml)[0])).toEqual({ [`outbound|9080||${host("other")}`]: 100 });
    const two = service("other", ...there.ports, { name: "http-b", number: 81, protocol: "HTTP" });
    expect(weights(routes(yaml, { services: [...bookinfo, two] })[0])).toEqual({
      [`outbound|9080||${host("other")}`]: 100,
    });
  });
});

describe("clusters", () => {
  const away = rule("away", "route: [{ labels: { version: v1 } }]");
  const named = (config: ProxyConfig) =>
    config.clusters.map(({ name }) => name).filter((name) => name.endsWith(host("reviews")));

  test("are there if a route names them", () => {
    expect(named(configFor(""))).toEqual([all]);
    expect(named(configFor(away))).toEqual([v1]);
    const mirrored = rule(
      "away",
      "route: [{ labels: { version: v1 } }]",
      "mirror: { name: reviews }",
    );
    expect(named(configFor(mirrored))).toEqual([v1, all]);
    expect(named(configFor(rule("moved", "redirect: { uri: /new }")))).toEqual([]);
  });

  test("that follow names are there before a route leads to them", () => {
    const services = [{ ...service("reviews"), resolution: "DNS" as const }];
    expect(named(configFor(away, { services }))).toEqual([v1, all]);
  });
});

describe("destination policies", () => {
  const policy = (name: string, labels: string, rest: string): string =>
    [
      "---",
      "apiVersion: config.istio.io/v1alpha2",
      "kind: DestinationPolicy",
      `metadata: { name: ${name} }`,
      "spec:",
      `  destination: { name: reviews${labels} }`,
      `  ${rest}`,
      "",
    ].join("\n");

  test("apply to the cluster whose labels are theirs exactly; the first key wins", () => {
    const yaml = [
      rule(
        "v1",
        "match: { request: { headers: { x: { exact: '1' } } } }",
        "route: [{ labels: { version: v1 } }]",
      ),
      policy("a", ", labels: { version: v1 }", "loadBalancing: { name: RANDOM }"),
      policy("b", ", labels: { version: v1 }", "loadBalancing: { name: LEAST_CONN }"),
    ].join("");
    const { clusters } = configFor(yaml);
    const balancer = (name: string) => clusters.find((one) => one.name === name)?.loadBalancer;
    expect(balancer(v1)).toBe(LoadBalancer.RANDOM);
    expect(balancer(all)).toBe(LoadBalancer.UNSPECIFIED);
    expect(balancer(`outbound|9080||${host("ratings")}`)).toBe(LoadBalancer.UNSPECIFIED);
  });

  test("bring limits and ejection, sub-second intervals included", () => {
    const breaker =
      "circuitBreaker: { simpleCb: { maxConnections: 1, httpMaxPendingRequests: 2, " +
      "httpConsecutiveErrors: 3, sleepWindow: 0.5s, httpDetectionInterval: 100ms, " +
      "httpMaxEjectionPercent: 100 } }";
    const { clusters } = configFor(policy("limits", "", breaker));
    expect(clusters.find(({ name }) => name === all)).toMatchObject({
      circuitBreaker: { maxConnections: 1, maxPendingRequests: 2 },
      outlier: {
        consecutiveErrors: 3,
        intervalMs: 100,
        baseEjectionMs: 500,
        maxEjectionPercent: 100,
      },
      origins: [{ object: "DestinationPolicy/default/limits" }],
    });
  });

  test("of other callers do not apply", () => {
    const yaml = policy(
      "other",
      "",
      "source: { name: ratings }\n  loadBalancing: { name: RANDOM }",
    );
    const { clusters } = configFor(yaml);
    expect(clusters.find(({ name }) => name === all)?.loadBalancer).toBe(LoadBalancer.UNSPECIFIED);
  });
});

test("settings of the mesh reach every proxy", () => {
  const { settings } = configFor(`apiVersion: mesh.istio.io/v1alpha1
kind: MeshConfig
metadata: { name: mesh }
outboundTrafficPolicy: { mode: REGISTRY_ONLY }
pathNormalization: { normalization: DECODE_AND_MERGE_SLASHES }`);
  expect(settings?.outboundPolicy).toBe(ProxySettings_OutboundPolicy.REGISTRY_ONLY);
  expect(settings?.pathNormalization).toMatchObject({
    form: PathNormalization_Form.MERGE_SLASHES,
    escapedSlashes: PathNormalization_EscapedSlashes.UNESCAPE_AND_FORWARD,
  });
});

test("equal input gives an equal version, whatever order it comes in", () => {
  const yaml = [
    rule("a", "precedence: 1", "match: { request: { headers: { x: { exact: '1' } } } }"),
    rule(
      "b",
      "route: [{ labels: { version: v1 }, weight: 50 }, { labels: { version: v2 }, weight: 50 }]",
    ),
  ];
  const one = configFor(yaml.join(""));
  const { configs } = readDocuments(yaml.join(""), {
    file: "rules.yaml",
    namespace: "default",
    domain: DOMAIN,
  });
  const other = translate(
    ruleSetOf(configs.toReversed(), DOMAIN),
    bookinfo.toReversed(),
    reviews.toReversed(),
    productpage,
  );
  expect(other).toEqual(one);
  const [first, ...rest] = reviews;
  const changed = configFor(yaml.join(""), { instances: [{ ...first!, port: 7 }, ...rest] });
  expect(changed.version).not.toBe(one.version);
});
