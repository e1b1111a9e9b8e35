/** DestinationRules as people write them: what is read, refused and left out. */
import { describe, expect, test } from "bun:test";
import { formatProblem, isError } from "../../core/problem.ts";
import type { DestinationRule } from "../../model/destination-rule.ts";
import { readDocuments } from "../read.ts";

const options = { file: "a.yaml", namespace: "default", domain: "cluster.local" };

function read(spec: string) {
  const envelope = "apiVersion: networking.istio.io/v1\nkind: DestinationRule";
  return readDocuments(`${envelope}\nmetadata: { name: a }\nspec: ${spec}`, options);
}

function ruleOf(spec: string): DestinationRule {
  const { configs, problems } = read(spec);
  expect(problems.filter(isError).map(formatProblem)).toEqual([]);
  return configs[0]!.spec as DestinationRule;
}

const traffic = (text: string): string => `{ host: a, trafficPolicy: ${text} }`;
const balancer = (text: string): string => traffic(`{ loadBalancer: ${text} }`);
const hash = (text: string): string => balancer(`{ consistentHash: ${text} }`);
const places = (text: string): string => balancer(`{ localityLbSetting: ${text} }`);
const check = (text: string): string => traffic(`{ healthCheck: ${text} }`);
const tls = (text: string): string => traffic(`{ tls: ${text} }`);

describe("a host", () => {
  // biome-ignore format: a table reads as a table
  const rows: readonly [written: string, host: string][] = [
    ["reviews",            "reviews.default.svc.cluster.local"],
    ["Reviews.Other.svc",  "reviews.other.svc"],
    ['"*.example.com"',    "*.example.com"],
  ];
  for (const [written, host] of rows)
    test(`${written} is ${host}`, () => expect(ruleOf(`{ host: ${written} }`).host).toBe(host));
});

describe("is refused with its place:", () => {
  // biome-ignore format: a table reads as a table
  const rows: readonly [spec: string, problem: string][] = [
    ["{}",                                                    "must have a host"],
    ["{ host: a_b }",                                         "spec.host"],
    ["{ host: a, subset: [] }",                               "unknown field"],
    ["{ host: a, subsets: [{ name: x }, { name: x }] }",      "is another subset's name"],
    ["{ host: a, subsets: [{ labels: { a: b } }] }",          "must have a name"],
    ['{ host: a, subsets: [{ name: "a.b" }] }',               "spec.subsets[0].name"],
    ["{ host: a, exportTo: [a, a] }",                         "is given twice"],
    ['{ host: a, exportTo: [".", default] }',                 "is given twice"],
    ['{ host: a, exportTo: ["*", a] }',                       '"*" must be alone'],
    ['{ host: a, exportTo: ["~"] }',                          "spec.exportTo"],
    ["{ host: a, exportTo: [b], workloadSelector: { matchLabels: { c: d } } }", 'must be "."'],
    [traffic("{}"),                                           "must say something"],
    [traffic("{ connectionPool: {} }"),                       "must have tcp or http"],
    [traffic("{ connectionPool: { http: { maxRetries: -1 } } }"), "must be at least 0"],
    [traffic("{ portLevelSettings: [{}] }"),                  "must have a port"],
    [traffic("{ portLevelSettings: [{ port: {} }] }"),        "must have a number"],
    [traffic("{ outlierDetection: { maxEjectionPercent: 101 } }"), "between 0 and 100"],
    [traffic("{ outlierDetection: { consecutiveLocalOriginFailures: 2 } }"), "splitExternal"],
    [traffic("{ tunnel: { targetHost: a, targetPort: 1 }, proxyProtocol: {} }"), "beside a tunnel"],
    [traffic("{ tunnel: { targetPort: 1 } }"),                "must have a targetHost"],
    [traffic("{ tunnel: { targetHost: a } }"),                "must have a targetPort"],
    [traffic('{ tunnel: { targetHost: "*.a", targetPort: 1 } }'), "tunnel.targetHost"],
    [traffic("{ connectionPool: { http: { idleTimeout: 30.000000005s } } }"), "whole milliseconds"],
    [traffic("{ connectionPool: { tcp: { idleTimeout: -1s } } }"), "must be at least 1ms"],
    [balancer("{ simple: LEAST }"),                           "must be one of"],
    [balancer("{ simple: RANDOM, consistentHash: {} }"),      "must not stand beside simple"],
    [balancer("{ warmup: { duration: 1s }, warmupDurationSecs: 1s }"), "not stand beside warmup"],
    [balancer("{ warmup: { aggression: 2 } }"),               "must have a duration"],
    [balancer("{ warmup: { duration: 1s, aggression: 0.5 } }"), "must be at least 1"],
    [hash("{ useSourceIp: true, httpHeaderName: a }"),        "the only one of its kind"],
    [hash("{ ringHash: {}, maglev: {} }"),                    "the only one of its kind"],
    [hash("{ maglev: { tableSize: 10 } }"),                   "must be a prime"],
    [hash("{ maglev: { tableSize: 5000011 } }"),              "must be a prime below"],
    [hash('{ httpHeaderName: "a b" }'),                       '"a b" is not a name'],
    [hash("{ httpCookie: { ttl: 1s } }"),                     "must have a name"],
    [hash("{ httpCookie: { name: a, ttl: -1s } }"),           "must not be negative"],
    [hash('{ httpCookie: { name: a, path: "/;b" } }'),        "cannot be part of a cookie"],
    [hash("{ httpCookie: { name: a, attributes: [{ name: b }, { name: B }] } }"), "given twice"],
    [places("{ failover: [{ from: a, to: a }] }"),            "must be another region"],
    [places('{ failover: [{ from: a, to: "*" }] }'),          "must be the name of a region"],
    [places("{ failover: [], distribute: [] }"),              "must not stand beside distribute"],
    [places("{ distribute: [{ from: a, to: { a: 60, b: 50 } }] }"), "add up to 100, not 110"],
    [places("{ distribute: [{ from: a, to: { a: 100, b: 0 } }] }"), "between 1 and 100"],
    [places("{ distribute: [{ from: a, to: { a: 50, a/b: 50 } }] }"), '"a/b" is within "a"'],
    [places("{ distribute: [{ from: a/*/c, to: { a: 100 } }] }"), "is not a place"],
    [places("{ distribute: [{ from: a/b/c/d, to: { a: 100 } }] }"), "is not a place"],
    [places(`{ distribute: [${"{ from: a, to: { a: 100 } }, ".repeat(201)}] }`), "200 at most"],
    [places('{ distribute: [{ from: "*", to: { a: 100 } }, { from: b, to: { a: 100 } }] }'), "b"],
    [check("{}"),                                             "must have http, tcp or grpc"],
    [check("{ http: { path: /a }, tcp: {} }"),                "tcp: must not stand beside http"],
    [check("{ http: {} }"),                                   "healthCheck.http: must have a path"],
    [check("{ http: { path: a } }"),                          'must begin with "/"'],
    [check('{ http: { path: "/a b" } }'),                     "must not have spaces"],
    [check("{ http: { path: /a, method: CONNECT } }"),        "asks for a tunnel"],
    [check("{ http: { path: /a, method: FETCH } }"),          "is not one of GET"],
    [check("{ http: { path: /a, host: a b } }"),              "http.host"],
    [check("{ http: { path: /a, headers: { A: b } } }"),      "must be in lower case"],
    [check("{ http: { path: /a, headers: { host: b } } }"),   "is what `host` is for"],
    [check('{ http: { path: /a, expectedStatuses: ["2xx"] } }'), "expectedStatuses[0]"],
    [check('{ http: { path: /a, expectedStatuses: ["200", "299-200"] } }'), "expectedStatuses[1]"],
    [check('{ http: { path: /a, expectedStatuses: ["100"] } }'), "from 200 to 599"],
    [check("{ tcp: {}, interval: 0s }"),                      "healthCheck.interval"],
    [check("{ tcp: {}, jitter: -1s }"),                       "healthCheck.jitter"],
    [check("{ tcp: {}, unhealthyThreshold: 0 }"),             "must be between 1 and 1000"],
    [check("{ tcp: {}, port: 65536 }"),                       "healthCheck.port"],
    [check("{ grpc: { service: a } }"),                       "unknown field"],
    [tls("{ mode: MUTUAL, clientCertificate: a }"),           "must be given with MUTUAL"],
    [tls("{ mode: ISTIO_MUTUAL, privateKey: a }"),            "the mesh has its own"],
    [tls("{ mode: SIMPLE, credentialName: a, caCrl: b }"),    "beside a credentialName"],
    [tls("{ mode: SIMPLE, insecureSkipVerify: true, caCertificates: a }"), "nothing is verified"],
  ];
  for (const [spec, problem] of rows)
    test(spec, () => {
      const found = read(spec).problems.filter(isError).map(formatProblem);
      expect(found.length).toBeGreaterThan(0);
      expect(found.join("\n")).toContain(problem);
    });
});

test("what has no effect is told, and nothing else", () => {
  const { problems } = read(
    traffic(`{ tls: { mode: ISTIO_MUTUAL }, connectionPool: {
      tcp: { maxConnections: 1, idleTimeout: 0s }, http: { h2UpgradePolicy: UPGRADE } },
      loadBalancer: { simple: PASSTHROUGH } }`),
  );
  expect(problems.map(({ severity, path }) => `${severity} ${path}`).sort()).toEqual([
    "warning spec.trafficPolicy.connectionPool.http.h2UpgradePolicy",
    "warning spec.trafficPolicy.connectionPool.tcp.idleTimeout",
    "warning spec.trafficPolicy.loadBalancer.simple",
  ]);
});

describe("TLS towards a destination", () => {
  const nothing = {
    ...{ sni: "", subjectAltNames: [], caCertificates: "" },
    ...{ clientCertificate: "", privateKey: "", insecureSkipVerify: false },
  };
  const rows: readonly (readonly [written: string, read: object | undefined])[] = [
    ["{}", { ...nothing, mode: "DISABLE" }],
    ["{ mode: DISABLE, sni: a.example }", { ...nothing, mode: "DISABLE" }],
    ["{ mode: SIMPLE }", { ...nothing, mode: "SIMPLE" }],
    [
      "{ mode: SIMPLE, sni: a.example, subjectAltNames: [b.example], caCertificates: /ca.pem }",
      {
        ...{ ...nothing, mode: "SIMPLE", sni: "a.example" },
        ...{ subjectAltNames: ["b.example"], caCertificates: "/ca.pem" },
      },
    ],
    [
      "{ mode: MUTUAL, clientCertificate: /c.pem, privateKey: /k.pem }",
      { ...nothing, mode: "MUTUAL", clientCertificate: "/c.pem", privateKey: "/k.pem" },
    ],
    [
      "{ mode: SIMPLE, insecureSkipVerify: true }",
      { ...nothing, mode: "SIMPLE", insecureSkipVerify: true },
    ],
    ["{ mode: MUTUAL, credentialName: c }", { ...nothing, mode: "SIMPLE" }],
    ["{ mode: ISTIO_MUTUAL }", { ...nothing, mode: "ISTIO_MUTUAL" }],
  ];
  for (const [written, found] of rows)
    test(written, () => expect(ruleOf(tls(written)).trafficPolicy?.tls).toEqual(found as never));

  test("a port's own stands instead of the rest", () => {
    const ports = "portLevelSettings: [{ port: { number: 443 }, tls: { mode: SIMPLE } }]";
    const { trafficPolicy } = ruleOf(traffic(`{ tls: { mode: DISABLE }, ${ports} }`));
    expect(trafficPolicy?.tls?.mode).toBe("DISABLE");
    expect(trafficPolicy?.portLevelSettings?.[0]?.tls?.mode).toBe("SIMPLE");
  });
});

test("a health check is what was written, and no more", () => {
  const asked = `{ http: { path: "/up?x=1", host: a.example, headers: { x-a: b },
    expectedStatuses: ["200-299", "503"] }, interval: 5s, jitter: 0s, port: 15021,
    unhealthyThreshold: 2, plaintext: true }`;
  expect(ruleOf(check(asked)).trafficPolicy?.healthCheck).toEqual({
    probe: {
      ...{ by: "http", path: "/up?x=1", host: "a.example", headers: { "x-a": "b" } },
      expectedStatuses: ["200-299", "503"],
    },
    ...{ intervalMs: 5_000, jitterMs: 0, port: 15_021, unhealthyThreshold: 2, plaintext: true },
  });
  expect(ruleOf(check("{ grpc: {} }")).trafficPolicy?.healthCheck).toEqual({
    probe: { by: "grpc" },
    plaintext: false,
  });
});
