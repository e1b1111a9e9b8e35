/** DestinationRules ─▶ clusters, for the proxy that is to obey them. */
import { describe, expect, test } from "bun:test";
import { type Cluster, LoadBalancer } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { formatProblem, isError } from "../../core/problem.ts";
import { readDocuments } from "../../dialect/read.ts";
import { Catalog } from "./catalog.ts";
import { clusterOf } from "./cluster.ts";
import { ruleSetOf } from "./rule-set.ts";
import { Translator } from "./translator.ts";

const DOMAIN = "cluster.local";
const host = (name: string, namespace = "default"): string => `${name}.${namespace}.svc.${DOMAIN}`;
const productpage = { service: host("productpage"), namespace: "default", labels: { app: "p" } };

interface Asked {
  readonly labels?: Readonly<Record<string, string>>;
  readonly port?: number;
  readonly node?: typeof productpage;
  readonly host?: string;
}

function rules(...documents: readonly string[]) {
  const yaml = documents.map((one) => `---\napiVersion: networking.istio.io/v1\n${one}\n`).join("");
  const read = readDocuments(yaml, { file: "a.yaml", namespace: "default", domain: DOMAIN });
  expect(read.problems.filter(isError).map(formatProblem)).toEqual([]);
  return ruleSetOf(read.configs, DOMAIN);
}

const rule = (name: string, spec: string, namespace = "default"): string =>
  `kind: DestinationRule\nmetadata: { name: ${name}, namespace: ${namespace} }\nspec: ${spec}`;

function cluster(set: ReturnType<typeof rules>, asked: Asked = {}): Cluster {
  const { labels = {}, port = 9080, node = productpage } = asked;
  return clusterOf({ host: asked.host ?? host("reviews"), labels, port }, undefined, set, node);
}

const policy = (text: string): string => `{ host: reviews, trafficPolicy: { ${text} } }`;
const balancer = (text: string): Cluster =>
  cluster(rules(rule("a", policy(`loadBalancer: ${text}`))));

describe("a load balancer", () => {
  // biome-ignore format: a table reads as a table
  const rows: readonly [written: string, kind: LoadBalancer][] = [
    ["{ simple: ROUND_ROBIN }",                          LoadBalancer.ROUND_ROBIN],
    ["{ simple: LEAST_CONN }",                           LoadBalancer.LEAST_REQUEST],
    ["{ simple: RANDOM }",                               LoadBalancer.RANDOM],
    ["{ simple: UNSPECIFIED }",                          LoadBalancer.UNSPECIFIED],
    ["{ simple: PASSTHROUGH }",                          LoadBalancer.UNSPECIFIED],
    ["{ consistentHash: { useSourceIp: true } }",        LoadBalancer.RING_HASH],
    ["{ consistentHash: { useSourceIp: true, maglev: {} } }", LoadBalancer.MAGLEV],
  ];
  for (const [written, kind] of rows)
    test(`${written} is ${LoadBalancer[kind]}`, () => {
      expect(balancer(written).loadBalancer).toBe(kind);
    });

  test("hashes what it says", () => {
    const by = (text: string) => balancer(`{ consistentHash: { ${text} } }`).hash[0]?.by;
    expect(by("httpHeaderName: x-user")).toEqual({ case: "header", value: "x-user" });
    expect(by("httpQueryParameterName: u")).toEqual({ case: "query", value: "u" });
    expect(by("useSourceIp: true")).toEqual({ case: "source", value: true });
    const cookie = "httpCookie: { name: a, path: /, ttl: 1.5s, attributes: [{ name: Secure }] }";
    expect(by(cookie)?.value).toMatchObject({
      name: "a",
      path: "/",
      ttlSeconds: 2,
      attributes: ["Secure"],
    });
    expect(by("httpCookie: { name: a, ttl: 0s }")?.value).toMatchObject({ ttlSeconds: 0 });
    expect(by("httpCookie: { name: a }")?.value).not.toHaveProperty("ttlSeconds");
  });

  test("brings its sizes and its warm-up", () => {
    const ring = "{ consistentHash: { useSourceIp: true, ringHash: { minimumRingSize: 99 } } }";
    expect(balancer(ring).balancing).toMatchObject({ ringSizeMin: 99 });
    const table = "{ consistentHash: { useSourceIp: true, maglev: { tableSize: 101 } } }";
    expect(balancer(table).balancing).toMatchObject({ maglevSize: 101 });
    const warm = "{ warmup: { duration: 30s, minimumPercent: 5, aggression: 2 } }";
    const slowStart = { windowMs: 30_000, minPercent: 5, aggression: 2 };
    expect(balancer(warm).balancing).toMatchObject({ slowStart });
    expect(balancer("{ warmupDurationSecs: 30s }").balancing?.slowStart?.windowMs).toBe(30_000);
  });
});

test("a health check", () => {
  const asked = (text: string) => cluster(rules(rule("a", policy(`healthCheck: ${text}`))));
  const http = 'http: { path: /up, headers: { x-a: b }, expectedStatuses: ["200-299", "503"] }';
  expect(asked(`{ ${http}, interval: 5s, jitter: 0s }`).healthCheck).toMatchObject({
    by: {
      case: "http",
      value: {
        path: "/up",
        headers: [{ name: "x-a", value: "b" }],
        expected: [
          { from: 200, to: 299 },
          { from: 503, to: 503 },
        ],
      },
    },
    ...{ intervalMs: 5_000, jitterMs: 0, plaintext: false },
  });
  const bytes = (text: string) => new TextEncoder().encode(text);
  expect(
    asked("{ tcp: { send: PING, receive: [PONG] }, plaintext: true }").healthCheck,
  ).toMatchObject({
    by: { case: "tcp", value: { send: bytes("PING"), receive: [bytes("PONG")] } },
    plaintext: true,
  });
  expect(asked("{ grpc: { serviceName: a.B }, port: 90 }").healthCheck).toMatchObject({
    by: { case: "grpc", value: { service: "a.B" } },
    port: 90,
  });
});

describe("localities", () => {
  const outlier = "outlierDetection: {}";
  const failover = "localityLbSetting: { failover: [{ from: eu, to: us }] }";
  const of = (text: string) => cluster(rules(rule("a", policy(text)))).balancing?.locality;

  test("are ranked where there is ejection, as in Istio", () => {
    expect(of(outlier)).toMatchObject({ failover: [], distribute: [] });
    expect(of(`${outlier}, loadBalancer: { ${failover} }`)).toMatchObject({
      failover: [{ from: "eu", to: "us" }],
    });
    expect(of(`loadBalancer: { ${failover} }`)).toBeUndefined();
    const off = "loadBalancer: { localityLbSetting: { enabled: false } }";
    expect(of(`${outlier}, ${off}`)).toBeUndefined();
  });

  test("are given their parts without ejection too", () => {
    const parts = "distribute: [{ from: eu/*, to: { eu/*: 80, us/*: 20 } }]";
    expect(of(`loadBalancer: { localityLbSetting: { ${parts} } }`)).toMatchObject({
      distribute: [{ from: "eu/*", to: { "eu/*": 80, "us/*": 20 } }],
    });
  });
});

test("limits, time to connect and a retry budget", () => {
  const made = cluster(
    rules(
      rule(
        "a",
        policy(`connectionPool: { tcp: { maxConnections: 7, connectTimeout: 2s },
          http: { http1MaxPendingRequests: 3, http2MaxRequests: 9, maxRequestsPerConnection: 5,
          maxRetries: 4 } }, retryBudget: { percent: 30, minRetryConcurrency: 5,
          budgetInterval: 10s }`),
      ),
    ),
  );
  expect(made.connectTimeoutMs).toBe(2_000);
  expect(made.circuitBreaker).toMatchObject({
    maxConnections: 7,
    maxPendingRequests: 3,
    maxRequests: 9,
    maxRequestsPerConnection: 5,
    maxRetries: 4,
    retryBudget: { percent: 30, intervalMs: 10_000, minPerSecond: 0.5, minConcurrent: 5 },
  });
});

test("what a rule does not limit is unlimited, and nobody is ejected", () => {
  const made = balancer("{ simple: RANDOM }");
  expect(made.outlier).toBeUndefined();
  expect(made.circuitBreaker?.maxConnections).toBeUndefined();
  expect(made.circuitBreaker?.maxRetries).toBeUndefined();
});

describe("ejection", () => {
  const of = (text: string): Cluster =>
    cluster(rules(rule("a", policy(`outlierDetection: { ${text} }`))));

  test("has Istio's defaults: no panic among them", () => {
    const { outlier, balancing } = of("");
    expect(outlier).toMatchObject({
      consecutiveErrors: 5,
      consecutiveErrorsOff: false,
      consecutiveGatewayErrors: 0,
      splitLocalFailures: false,
      intervalMs: 10_000,
      baseEjectionMs: 30_000,
      maxEjectionPercent: 10,
    });
    expect(balancing?.panicPercent).toBe(0);
  });

  test("says what it is told, off included", () => {
    const { outlier, balancing } = of(`consecutive5xxErrors: 0, consecutiveGatewayErrors: 3,
      splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 2, interval: 1s,
      baseEjectionTime: 0.5s, maxEjectionPercent: 100, minHealthPercent: 30`);
    expect(outlier).toMatchObject({
      consecutiveErrors: 0,
      consecutiveErrorsOff: true,
      consecutiveGatewayErrors: 3,
      splitLocalFailures: true,
      consecutiveLocalFailures: 2,
      intervalMs: 1_000,
      baseEjectionMs: 500,
      maxEjectionPercent: 100,
    });
    expect(balancing?.panicPercent).toBe(30);
  });
});

describe("a subset and a port", () => {
  const set = rules(
    rule(
      "a",
      `{ host: reviews,
         trafficPolicy: { loadBalancer: { simple: RANDOM },
           connectionPool: { tcp: { maxConnections: 1 } }, retryBudget: { percent: 9 },
           portLevelSettings: [{ port: { number: 80 }, loadBalancer: { simple: ROUND_ROBIN } }] },
         subsets: [{ name: v1, labels: { version: v1 },
             trafficPolicy: { loadBalancer: { simple: LEAST_REQUEST } } },
           { name: v2, labels: { version: v2 } }] }`,
    ),
  );
  const { LEAST_REQUEST } = LoadBalancer;
  // biome-ignore format: a table reads as a table
  const rows: readonly [what: string, asked: Asked, kind: LoadBalancer, connections?: number][] = [
    ["all instances",            {},                                     LoadBalancer.RANDOM, 1],
    ["a subset with a policy",   { labels: { version: "v1" } },            LEAST_REQUEST, 1],
    ["a subset without one",     { labels: { version: "v2" } },            LoadBalancer.RANDOM, 1],
    ["labels of no subset",      { labels: { version: "v9" } },            LoadBalancer.RANDOM, 1],
    ["the port, which replaces", { port: 80 },                            LoadBalancer.ROUND_ROBIN],
    ["the port of a subset",     { port: 80, labels: { version: "v1" } }, LoadBalancer.ROUND_ROBIN],
  ];
  for (const [what, asked, kind, connections] of rows)
    test(what, () => {
      const made = cluster(set, asked);
      expect(made.loadBalancer).toBe(kind);
      expect(made.circuitBreaker?.maxConnections).toBe(connections);
      expect(made.circuitBreaker?.retryBudget?.percent).toBe(9);
    });
});

describe("of several rules", () => {
  const of = (kind: string, target = "reviews", more = ""): string =>
    `{ host: "${target}", trafficPolicy: { loadBalancer: { simple: ${kind} } }${more} }`;
  const kind = (documents: readonly string[], asked: Asked = {}): string =>
    LoadBalancer[cluster(rules(...documents), asked).loadBalancer]!;
  const elsewhere = { service: host("x", "other"), namespace: "other", labels: { app: "p" } };
  const reviews = host("reviews");

  test("the caller's namespace goes before the service's, that before others", () => {
    const all = [
      rule("a", of("RANDOM", reviews), "third"),
      rule("b", of("ROUND_ROBIN", reviews), "default"),
      rule("c", of("LEAST_CONN", reviews), "other"),
    ];
    expect(kind(all, { node: elsewhere })).toBe("LEAST_REQUEST");
    expect(kind(all.slice(0, 2), { node: elsewhere })).toBe("ROUND_ROBIN");
    expect(kind(all.slice(0, 1), { node: elsewhere })).toBe("RANDOM");
  });

  test("a name goes before a pattern, a longer pattern before a shorter", () => {
    const all = [
      rule("a", of("RANDOM", "*.local")),
      rule("b", of("ROUND_ROBIN", `*.default.svc.${DOMAIN}`)),
      rule("c", of("LEAST_CONN")),
    ];
    expect(kind(all)).toBe("LEAST_REQUEST");
    expect(kind(all.slice(0, 2))).toBe("ROUND_ROBIN");
    expect(kind(all.slice(0, 1))).toBe("RANDOM");
    expect(kind(all.slice(0, 1), { host: "example.com" })).toBe("UNSPECIFIED");
  });

  test("of one host and namespace the first decides, and all their subsets are known", () => {
    const v2 =
      "{ host: reviews, subsets: [{ name: v2, labels: { version: v2 }, " +
      "trafficPolicy: { loadBalancer: { simple: LEAST_REQUEST } } }] }";
    const all = [rule("a", of("RANDOM")), rule("b", v2)];
    expect(kind(all)).toBe("RANDOM");
    expect(kind(all, { labels: { version: "v2" } })).toBe("LEAST_REQUEST");
  });

  // biome-ignore format: a table reads as a table
  const rows: readonly [exportTo: string, here: string, there: string][] = [
    ["",                   "RANDOM", "RANDOM"],
    ['exportTo: ["*"]',    "RANDOM", "RANDOM"],
    ['exportTo: ["."]',    "RANDOM", "UNSPECIFIED"],
    ["exportTo: [other]",  "UNSPECIFIED", "RANDOM"],
    ["workloadSelector: { matchLabels: { app: p } }", "RANDOM", "UNSPECIFIED"],
    ["workloadSelector: { matchLabels: { app: q } }", "UNSPECIFIED", "UNSPECIFIED"],
  ];
  for (const [more, here, there] of rows)
    test(`only those whom it is for obey: ${more || "all"}`, () => {
      const one = [rule("a", of("RANDOM", "reviews", more === "" ? "" : `, ${more}`))];
      expect([kind(one), kind(one, { node: elsewhere })]).toEqual([here, there]);
    });
});

test("a DestinationRule decides alone beside a DestinationPolicy, and is the origin", () => {
  const read = readDocuments(
    `apiVersion: config.istio.io/v1alpha2
kind: DestinationPolicy
metadata: { name: old }
spec:
  destination: { name: reviews }
  loadBalancing: { name: RANDOM }
  circuitBreaker: { simpleCb: { maxConnections: 5 } }
---
apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata: { name: new }
spec: { host: reviews, trafficPolicy: { loadBalancer: { simple: ROUND_ROBIN } } }
`,
    { file: "a.yaml", namespace: "default", domain: DOMAIN },
  );
  const made = cluster(ruleSetOf(read.configs, DOMAIN));
  expect(made.loadBalancer).toBe(LoadBalancer.ROUND_ROBIN);
  expect(made.circuitBreaker?.maxConnections).toBeUndefined();
  expect(made.outlier).toBeUndefined();
  expect(made.origins.map(({ object }) => object)).toEqual(["DestinationRule/default/new"]);
});

test("a changed rule reaches the proxies of its host, and those that it selects alone", () => {
  const services = ["reviews", "ratings"].map((name) => ({
    host: host(name),
    namespace: "default",
    addresses: [],
    ports: [{ name: "http", number: 9080, protocol: "HTTP" as const }],
    resolution: "STATIC" as const,
    external: false,
    registry: "file",
  }));
  const catalog = new Catalog(services, []);
  const translator = new Translator(DOMAIN);
  const other = { ...productpage, labels: { app: "q" } };
  const kinds = (node: typeof productpage): string =>
    translator
      .resources(node)
      .clusters.map(({ message }) => LoadBalancer[message.loadBalancer])
      .join(" ");
  const update = (...documents: string[]): void =>
    translator.update({ rules: rules(...documents), catalog });
  update();
  expect(kinds(productpage)).toBe("UNSPECIFIED UNSPECIFIED");
  update(rule("a", policy("loadBalancer: { simple: RANDOM }")));
  expect(kinds(productpage).split(" ").sort().join(" ")).toBe("RANDOM UNSPECIFIED");
  update(rule("a", '{ host: "*.local", trafficPolicy: { loadBalancer: { simple: RANDOM } } }'));
  expect(kinds(productpage)).toBe("RANDOM RANDOM");
  const selective = `{ host: "*.local", trafficPolicy: { loadBalancer: { simple: ROUND_ROBIN } },
    workloadSelector: { matchLabels: { app: p } } }`;
  update(rule("a", selective));
  expect(kinds(productpage)).toBe("ROUND_ROBIN ROUND_ROBIN");
  expect(kinds(other)).toBe("UNSPECIFIED UNSPECIFIED");
});

test("a changed rule for many hosts reaches one that only an egress rule names", () => {
  const egress = readDocuments(
    `apiVersion: config.istio.io/v1alpha2
kind: EgressRule
metadata: { name: outside }
spec: { destination: { service: api.example.com }, ports: [{ port: 80, protocol: http }] }
`,
    { file: "e.yaml", namespace: "default", domain: DOMAIN },
  );
  const translator = new Translator(DOMAIN);
  const origins = (...documents: string[]): number => {
    const { destinationRules } = rules(...documents);
    const set = { ...ruleSetOf(egress.configs, DOMAIN), destinationRules };
    translator.update({ rules: set, catalog: new Catalog([], []) });
    return translator.resources(productpage).clusters[0]!.message.origins.length;
  };
  expect(origins()).toBe(0);
  expect(
    origins(
      rule(
        "many",
        '{ host: "*.example.com", trafficPolicy: { loadBalancer: { simple: RANDOM } } }',
      ),
    ),
  ).toBe(1);
  expect(origins()).toBe(0);
});

describe("TLS", () => {
  const secure = (text: string) => rules(rule("a", policy(`tls: ${text}`)));
  const tlsOf = (text: string) => cluster(secure(text)).tls;

  test("is begun where a rule says so, with its files and names", () => {
    const text = "{ mode: MUTUAL, sni: a.b, clientCertificate: /c, privateKey: /k, ";
    expect(tlsOf(`${text}caCertificates: /ca, subjectAltNames: ["spiffe://x/y"] }`)).toMatchObject({
      ...{ sni: "a.b", clientCertificate: "/c", privateKey: "/k", caCertificates: "/ca" },
      ...{ subjectAltNames: ["spiffe://x/y"], insecureSkipVerify: false },
    });
  });

  test("is not begun where it says DISABLE, or nothing", () => {
    expect(tlsOf("{ mode: DISABLE }")).toBeUndefined();
    expect(tlsOf("{ mode: ISTIO_MUTUAL }")).toBeUndefined();
    expect(cluster(rules()).tls).toBeUndefined();
  });

  const outside = (protocol: "HTTPS" | "TLS" | "HTTP", external: boolean) => ({
    ...{ host: host("reviews"), namespace: "default", addresses: [], registry: "file", external },
    ...{ ports: [{ name: "p", number: 443, protocol }], resolution: "DNS" as const },
  });
  const rows: readonly (readonly [
    what: string,
    service: ReturnType<typeof outside>,
    rule: string,
    secure: boolean,
  ])[] = [
    ["requests to an external port of HTTPS", outside("HTTPS", true), "", true],
    ["the same, with a rule against it", outside("HTTPS", true), "{ mode: DISABLE }", false],
    ["an external port of HTTP with a rule", outside("HTTP", true), "{ mode: SIMPLE }", true],
    ["TLS that passes as it is", outside("TLS", true), "{ mode: SIMPLE }", false],
    ["HTTPS inside of the mesh", outside("HTTPS", false), "{ mode: SIMPLE }", false],
  ];
  for (const [what, service, said, expected] of rows)
    test(what, () => {
      const set = said === "" ? rules() : secure(said);
      const key = { host: service.host, labels: {}, port: 443 };
      expect(clusterOf(key, service, set, productpage).tls !== undefined).toBe(expected);
      expect(clusterOf({ ...key, tunnel: true }, service, set, productpage).tls).toBeUndefined();
    });
});
