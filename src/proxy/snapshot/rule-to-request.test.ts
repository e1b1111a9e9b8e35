/**
 * From the YAML of an operator to where a request goes: dialect, translation, compilation and
 * matching together, as spec tables manager 1.3 to 1.8 say it.
 */
import { describe, expect, test } from "bun:test";
import { formatProblem } from "../../core/problem.ts";
import { readDocuments } from "../../dialect/read.ts";
import { ruleSetOf } from "../../manager/translate/rule-set.ts";
import { translate } from "../../manager/translate/translate.ts";
import type { Service, ServiceInstance } from "../../model/service.ts";
import { head, parts } from "../../testing/snapshot-sample.ts";
import type { Route } from "../route/route.ts";
import { TargetWriter } from "../route/target-writer.ts";
import { compileSnapshot } from "./compile.ts";
import { Snapshot } from "./snapshot.ts";

const host = (name: string): string => `${name}.default.svc.cluster.local`;

function service(name: string, port: number): Service {
  return {
    host: host(name),
    namespace: "default",
    addresses: name === "reviews" ? ["10.1.1.1"] : [],
    ports: [{ name: "http", number: port, protocol: "HTTP" }],
    resolution: "STATIC",
    external: false,
    registry: "local",
  };
}

function instance(name: string, version: string, servicePort: number): ServiceInstance {
  return {
    host: host(name),
    address: "127.0.0.1",
    port: 1_000 + Number(version.slice(1)),
    servicePort,
    labels: { version, app: name },
    locality: "",
    weight: 1,
    healthy: true,
    workload: `${name}-${version}`,
  };
}

const services = [service("reviews", 9080), service("ratings", 80)];
const instances = [
  instance("reviews", "v1", 9080),
  instance("reviews", "v2", 9080),
  instance("ratings", "v1", 80),
];

/** The snapshot of product page v1's proxy under these documents. */
function mesh(yaml: string): Snapshot {
  const read = readDocuments(yaml, { file: "rules.yaml", namespace: "default" });
  if (read.configs.length === 0 && yaml !== "")
    throw new Error(read.problems.map(formatProblem).join());
  const node = {
    service: host("productpage"),
    namespace: "default",
    labels: { version: "v1", app: "productpage" },
  };
  const rules = ruleSetOf(read.configs, "cluster.local");
  const compiled = compileSnapshot(translate(rules, services, instances, node), parts());
  if (!(compiled instanceof Snapshot)) throw new Error(compiled.map(formatProblem).join());
  compiled.activate(undefined);
  return compiled;
}

function routeOf(
  snapshot: Snapshot,
  line: string,
  ...fields: readonly string[]
): Route | undefined {
  const request = head(line, ...fields);
  const { bytes, authorityStart, authorityEnd } = request;
  const virtualHost = snapshot.findVirtualHost(bytes, authorityStart, authorityEnd, 80);
  return virtualHost?.match(request, false);
}

/** "v2", "v1,v2", "all", "redirect"; "-": nobody. */
function goesTo(route: Route | undefined): string {
  if (route === undefined) return "-";
  const { action } = route;
  if (action.at !== "forward") return action.at;
  return action.clusters.entries
    .map(({ cluster }) => cluster.settings.labels.version ?? "all")
    .join(",");
}

/** A v1alpha2 rule for reviews, with its spec in flow style; `meta`: of the rule. */
function rule(name: string, spec: string): string {
  return [
    "apiVersion: config.istio.io/v1alpha2",
    "kind: RouteRule",
    `metadata: { name: ${name} }`,
    `spec: { destination: { name: reviews }, ${spec} }`,
    "---\n",
  ].join("\n");
}

const toV1 = "route: [{ labels: { version: v1 } }]";
const toV2 = "route: [{ labels: { version: v2 } }]";
const request = (conditions: string): string =>
  `match: { request: { headers: { ${conditions} } } }`;

describe("without rules", () => {
  const snapshot = mesh("");
  for (const name of ["reviews", "reviews.default", "reviews.default.svc", host("reviews")])
    for (const authority of [name, `${name}:9080`, name.toUpperCase()])
      test(`"${authority}" is reviews`, () => {
        expect(goesTo(routeOf(snapshot, "GET /", `Host: ${authority}`))).toBe("all");
      });

  test("its address is reviews, another port and another name are nobody", () => {
    expect(goesTo(routeOf(snapshot, "GET /", "Host: 10.1.1.1:9080"))).toBe("all");
    expect(goesTo(routeOf(snapshot, "GET /", "Host: reviews:81"))).toBe("-");
    expect(goesTo(routeOf(snapshot, "GET /", "Host: nobody"))).toBe("-");
    expect(goesTo(routeOf(snapshot, "GET /", "Host: ratings:80"))).toBe("all");
  });
});

describe("a rule's conditions", () => {
  // biome-ignore format: a table reads as a table
  const rows: readonly [conditions: string, request: string, goesTo: string][] = [
    ["uri: { exact: /a }",                      "GET /a?q",                 "v2"],
    ["uri: { exact: /a }",                      "GET /a/",                  "all"],
    ["uri: { prefix: /a }",                     "GET /abc",                 "v2"],
    ["uri: { prefix: /a }",                     "GET /b",                   "all"],
    ["uri: { regex: '/[0-9]+' }",               "GET /12",                  "v2"],
    ["uri: { regex: '/[0-9]+' }",               "GET /12x",                 "all"],
    ["method: { exact: POST }",                 "POST /",                   "v2"],
    ["method: { exact: POST }",                 "GET /",                    "all"],
    ["scheme: { exact: http }",                 "GET /",                    "v2"],
    ["scheme: { exact: https }",                "GET /",                    "all"],
    ["authority: { exact: reviews }",           "GET /",                    "v2"],
    ["authority: { prefix: rat }",              "GET /",                    "all"],
    ["user: { exact: jason }",                  "GET /\nUser: jason",       "v2"],
    ["user: { exact: jason }",                  "GET /\nUser: Jason",       "all"],
    ["user: { exact: jason }",                  "GET /",                    "all"],
    ["user: { prefix: ja }",                    "GET /\nuser: jason",       "v2"],
    ["cookie: { regex: '^(.*?;)?(user=jason)(;.*)?$' }", "GET /\nCookie: a=b;user=jason", "v2"],
    ["cookie: { regex: '^(.*?;)?(user=jason)(;.*)?$' }", "GET /\nCookie: user=jasons",    "all"],
    ["uri: { prefix: /a }, user: { exact: x }", "GET /a\nUser: x",          "v2"],
    ["uri: { prefix: /a }, user: { exact: x }", "GET /a\nUser: y",          "all"],
  ];
  for (const [conditions, sent, expected] of rows)
    test(`{ ${conditions} } sends ${sent.replace("\n", ", ")} to ${expected}`, () => {
      const snapshot = mesh(rule("r", `${request(conditions)}, ${toV2}`));
      const [line = "", ...fields] = sent.split("\n");
      expect(goesTo(routeOf(snapshot, line, ...fields))).toBe(expected);
    });
});

describe("of several rules", () => {
  const jason = request("user: { exact: jason }");

  test("the one of higher precedence is asked first", () => {
    const rules =
      rule("a", `precedence: 1, ${toV1}`) + rule("b", `precedence: 2, ${jason}, ${toV2}`);
    expect(goesTo(routeOf(mesh(rules), "GET /", "User: jason"))).toBe("v2");
    expect(goesTo(routeOf(mesh(rules), "GET /"))).toBe("v1");
  });

  test("of equal precedence the first by name, and nothing behind a catch-all", () => {
    const rules = rule("a", toV1) + rule("b", `${jason}, ${toV2}`);
    const snapshot = mesh(rules);
    expect(goesTo(routeOf(snapshot, "GET /", "User: jason"))).toBe("v1");
    expect(
      snapshot.virtualHosts.find(({ name }) => name.startsWith("reviews"))!.routes,
    ).toHaveLength(1);
  });

  test("those for other callers are none of this proxy's", () => {
    const from = (source: string): string => `match: { source: { ${source} } }, ${toV2}`;
    expect(goesTo(routeOf(mesh(rule("a", from("name: productpage"))), "GET /"))).toBe("v2");
    expect(goesTo(routeOf(mesh(rule("a", from("name: details"))), "GET /"))).toBe("all");
    const labelled = (version: string): string =>
      from(`name: productpage, labels: { version: ${version} }`);
    expect(goesTo(routeOf(mesh(rule("a", labelled("v1"))), "GET /"))).toBe("v2");
    expect(goesTo(routeOf(mesh(rule("a", labelled("v2"))), "GET /"))).toBe("all");
  });
});

describe("what a rule does", () => {
  const writer = new TargetWriter(100);
  const written = (length: number): string =>
    Buffer.from(writer.out.subarray(0, length)).toString();

  test("weights share, and a weight of 0 gets nothing", () => {
    const weighted = (a: number, b: number): string =>
      `route: [{ labels: { version: v1 }, weight: ${a} }, ` +
      `{ labels: { version: v2 }, weight: ${b} }]`;
    const route = routeOf(mesh(rule("r", weighted(90, 10))), "GET /")!;
    if (route.action.at !== "forward") throw new Error("it forwards");
    const counts = new Map<string, number>();
    for (let i = 0; i < 10_000; i++) {
      const { version = "" } = route.action.clusters.choose((i + 0.5) / 10_000).settings.labels;
      counts.set(version, (counts.get(version) ?? 0) + 1);
    }
    expect([...counts].sort()).toEqual([
      ["v1", 9_000],
      ["v2", 1_000],
    ]);
    expect(goesTo(routeOf(mesh(rule("r", weighted(100, 0))), "GET /"))).toBe("v1");
  });

  test("a redirect replaces path and host, and is 302", () => {
    const snapshot = mesh(rule("r", "redirect: { uri: /new, authority: other }"));
    const { action } = routeOf(snapshot, "GET /old?q=1")!;
    if (action.at !== "redirect") throw new Error("it redirects");
    expect(action.redirect.status).toBe(302);
    const length = writer.location(action.redirect, head("GET /old?q=1"), false);
    expect(written(length)).toBe("http://other/new?q=1");
  });

  // biome-ignore format: a table reads as a table
  const rewrites: readonly [conditions: string, sent: string, target: string][] = [
    [request("uri: { prefix: /old }"), "/old/a?q", "/new/a?q"],
    [request("uri: { exact: /old }"),  "/old?q",   "/new?q"],
    [request("user: { exact: x }"),    "/a?q",     "/new/a?q"],
  ];
  for (const [conditions, sent, target] of rewrites)
    test(`a rewrite to /new under ${conditions} makes ${target} of ${sent}`, () => {
      const snapshot = mesh(rule("r", `${conditions}, rewrite: { uri: /new }`));
      const route = routeOf(snapshot, `GET ${sent}`, "User: x")!;
      expect(written(writer.target(route.rewrite!, head(`GET ${sent}`)))).toBe(target);
    });

  test("times, retries, faults, mirror and fields are those of the rule", () => {
    const snapshot = mesh(
      rule(
        "r",
        [
          "httpReqTimeout: { simpleTimeout: { timeout: 2.5s } }",
          "httpReqRetries: { simpleRetry: { attempts: 3, perTryTimeout: 0.5s } }",
          "httpFault: { delay: { percent: 0.5, fixedDelay: 7s }, " +
            "abort: { percent: 10, httpStatus: 418 } }",
          "mirror: { name: ratings }",
          "appendHeaders: { x-a: b }",
          "websocketUpgrade: true",
        ].join(", "),
      ),
    );
    const route = routeOf(snapshot, "GET /")!;
    expect(route.timeoutMs).toBe(2_500);
    expect([route.retry!.attempts, route.retry!.perTryTimeoutMs]).toEqual([3, 500]);
    const { delayFraction, delayMs, abortFraction, abortStatus } = route.fault!;
    expect([delayFraction, delayMs, abortFraction, abortStatus]).toEqual([0.005, 7_000, 0.1, 418]);
    expect(route.mirror!.cluster.settings.service).toBe(host("ratings"));
    expect(route.mirror!.fraction).toBe(1);
    expect(Buffer.from(route.requestFields).toString()).toBe("x-a: b\r\n");
    expect(route.websocket).toBe(true);
    expect(route.origin).toContain("rules.yaml:1");
  });

  test("a rule that says nothing of time has 15 s; of retries, only what was never sent", () => {
    const route = routeOf(mesh(rule("r", toV1)), "GET /")!;
    expect(route.timeoutMs).toBe(15_000);
    expect(route.websocket).toBe(false);
  });
});

describe("a policy", () => {
  function policy(destination: string, spec: string): string {
    return [
      "apiVersion: config.istio.io/v1alpha2",
      "kind: DestinationPolicy",
      "metadata: { name: p }",
      `spec: { destination: { ${destination} }, ${spec} }`,
      "---\n",
    ].join("\n");
  }
  const breaker =
    "circuitBreaker: { simpleCb: { maxConnections: 7, httpMaxPendingRequests: 3, " +
    "httpConsecutiveErrors: 2, sleepWindow: 0.25s, httpDetectionInterval: 0.5s } }";

  test("sets limits and ejection, below a second too", () => {
    const snapshot = mesh(policy("name: reviews", breaker));
    const route = routeOf(snapshot, "GET /")!;
    if (route.action.at !== "forward") throw new Error("it forwards");
    const { maxima, outlier } = route.action.clusters.choose(0).settings;
    expect([maxima.connections, maxima.pending]).toEqual([7, 3]);
    expect(outlier).toEqual({
      consecutiveErrors: 2,
      intervalMs: 500,
      baseEjectionMs: 250,
      maxEjectionPercent: 10,
    });
  });

  test("with labels is for the version that a rule names, and for no other", () => {
    const snapshot = mesh(
      rule("r", `${request("x: { exact: y }")}, ${toV2}`) +
        policy("name: reviews, labels: { version: v2 }", "loadBalancing: { name: RANDOM }"),
    );
    const kinds = [...snapshot.clusters.values()]
      .filter(({ settings }) => settings.service === host("reviews"))
      .map(({ settings }) => [settings.labels.version ?? "all", settings.loadBalancer]);
    expect(kinds.sort()).toEqual([
      ["all", "least-request"],
      ["v2", "random"],
    ]);
  });
});

describe("an egress rule", () => {
  const snapshot = mesh(
    [
      "apiVersion: config.istio.io/v1alpha2",
      "kind: EgressRule",
      "metadata: { name: e }",
      "spec: { destination: { service: '*.example.com' }, ports: [{ port: 80, protocol: http }, " +
        "{ port: 8080, protocol: http }] }",
    ].join("\n"),
  );
  // biome-ignore format: a table reads as a table
  const rows: readonly [authority: string, endpoint: string | undefined][] = [
    ["api.example.com",      "api.example.com:80"],
    ["api.example.com:80",   "api.example.com:80"],
    ["api.example.com:8080", "api.example.com:8080"],
    ["api.example.com:81",   undefined],
    ["example.com",          undefined],
  ];
  for (const [authority, endpoint] of rows)
    test(`${authority} goes to ${endpoint ?? "nobody"}`, () => {
      const route = routeOf(snapshot, "GET /", `Host: ${authority}`);
      if (route === undefined) return expect(endpoint).toBeUndefined();
      if (route.action.at !== "forward") throw new Error("it forwards");
      const bytes = new TextEncoder().encode(authority);
      const cluster = route.action.clusters.choose(0);
      expect(cluster.pickOriginal(bytes, 0, bytes.length, 80)!.authority).toBe(endpoint!);
    });
});
