/** Which route rules, policies and egress rules are refused, and why. */
import { describe, expect, test } from "bun:test";
import { formatProblem } from "../../core/problem.ts";
import { readDocuments } from "../read.ts";

function told(kind: string, spec: string): readonly string[] {
  const text = `apiVersion: config.istio.io/v1alpha2
kind: ${kind}
metadata: { name: x }
spec: ${spec}
`;
  const { problems } = readDocuments(text, { file: "r.yaml", namespace: "default" });
  return problems.map((problem) => formatProblem(problem).replace(/^r\.yaml:\d+:\d+: /, ""));
}

const a = "destination: { name: a }";

const rules: readonly (readonly [title: string, spec: string, why: readonly string[]])[] = [
  ["no destination", "{ precedence: 1 }", ["spec: must have a destination"]],
  [
    "a destination without a name",
    "{ destination: {} }",
    ["spec.destination: must have a name or a service"],
  ],
  [
    "a destination with two names",
    "{ destination: { name: a, service: b } }",
    ["spec.destination.service: must not stand beside a name"],
  ],
  [
    "a service with a namespace",
    "{ destination: { service: b, namespace: c } }",
    ["spec.destination.namespace: must not stand beside a service"],
  ],
  [
    "labels of the destination",
    "{ destination: { name: a, labels: { v: '1' } } }",
    ["spec.destination: must have no labels: they belong to the entries of route"],
  ],
  [
    "one route of half a weight",
    `{ ${a}, route: [{ weight: 50 }] }`,
    ["spec.route: the weights must sum to 100, not 50"],
  ],
  [
    "two routes without weights",
    `{ ${a}, route: [{}, {}] }`,
    ["spec.route: the weights must sum to 100, not 0"],
  ],
  ["one route without a weight", `{ ${a}, route: [{ labels: { v: a } }] }`, []],
  [
    "a redirect to nowhere",
    `{ ${a}, redirect: {} }`,
    ["spec.redirect: must have a uri or an authority"],
  ],
  [
    "a rewrite to nothing",
    `{ ${a}, rewrite: { uri: "" } }`,
    ["spec.rewrite: must have a uri or an authority"],
  ],
  [
    "a redirect that does more",
    `{ ${a}, redirect: { uri: /b }, rewrite: { uri: /c }, httpFault: {}, websocketUpgrade: true }`,
    [
      "spec.rewrite: must not stand beside a redirect",
      "spec.httpFault: must not stand beside a redirect",
      "spec.websocketUpgrade: must not stand beside a redirect",
    ],
  ],
  [
    "a condition with two kinds",
    `{ ${a}, match: { request: { headers: { x: { exact: a, prefix: b } } } } }`,
    ["spec.match.request.headers.x.prefix: must not stand beside exact"],
  ],
  [
    "a condition without a kind",
    `{ ${a}, match: { request: { headers: { x: {} } } } }`,
    ["spec.match.request.headers.x: must have one of exact, prefix and regex"],
  ],
  [
    "a header in capitals",
    `{ ${a}, match: { request: { headers: { X-User: { exact: a } } } } }`,
    ["spec.match.request.headers.X-User: must be in lower case"],
  ],
  [
    "an empty path",
    `{ ${a}, match: { request: { headers: { uri: { exact: "" } } } } }`,
    ["spec.match.request.headers.uri: must not be empty"],
  ],
  [
    "UDP",
    `{ ${a}, match: { udp: {} } }`,
    ["spec.match.udp: is not supported: UDP was never routed"],
  ],
  [
    "a block of addresses that is none",
    `{ ${a}, match: { tcp: { sourceSubnet: [10.0.0.0/33] } } }`,
    [
      "warning: spec.match.tcp: conditions on addresses match TCP connections only, " +
        "never a request",
      'spec.match.tcp.sourceSubnet: "10.0.0.0/33" has a prefix length that is not 0 to 32',
    ],
  ],
  [
    "faults that were never there",
    `{ ${a}, l4Fault: {}, httpFault: { delay: { percent: 1, exponentialDelay: 1s },
       abort: { percent: 1, grpcStatus: X } } }`,
    [
      "spec.l4Fault: is not supported: faults of TCP connections were never implemented",
      "warning: spec.httpFault.delay: without fixedDelay it delays nothing",
      "spec.httpFault.delay.exponentialDelay: is not supported (use fixedDelay)",
      "warning: spec.httpFault.abort: without httpStatus it aborts nothing",
      "spec.httpFault.abort.grpcStatus: is not supported (use httpStatus)",
    ],
  ],
  [
    "conditions in the words of two releases",
    `{ ${a}, match: { httpHeaders: { a: { exact: b } },
                      request: { headers: { b: { exact: c } } } } }`,
    ["spec.match.httpHeaders: must not stand beside request.headers"],
  ],
  [
    "times that cannot be",
    `{ ${a}, httpReqTimeout: { simpleTimeout: { timeout: 0s } },
       httpReqRetries: { simpleRetry: { attempts: -1, perTryTimeout: 1us } } }`,
    [
      "spec.httpReqTimeout.simpleTimeout.timeout: must be at least 1ms",
      "spec.httpReqRetries.simpleRetry.attempts: must be at least 0, not -1",
      "spec.httpReqRetries.simpleRetry.perTryTimeout: must be at least 1ms",
    ],
  ],
  [
    "hedging without a time after which the next try joins",
    `{ ${a}, httpReqRetries: { simpleRetry: { attempts: 0, hedgeOnPerTryTimeout: ALL } } }`,
    [
      "spec.httpReqRetries.simpleRetry.hedgeOnPerTryTimeout: needs a perTryTimeout " +
        "(it says when the next try joins the one under way)",
      "spec.httpReqRetries.simpleRetry.hedgeOnPerTryTimeout: needs attempts above 0",
    ],
  ],
  [
    "hedging of something else",
    `{ ${a}, httpReqRetries: { simpleRetry: { attempts: 1, hedgeOnPerTryTimeout: SOME } } }`,
    [
      "spec.httpReqRetries.simpleRetry.hedgeOnPerTryTimeout: " +
        'must be one of IDEMPOTENT, ALL, not "SOME"',
    ],
  ],
  [
    "cross-origin rules that no browser obeys",
    `{ ${a}, corsPolicy: { allowMethods: [FETCH], allowHeaders: [X-A], maxAge: 1.5s } }`,
    [
      'spec.corsPolicy.allowMethods[0]: "FETCH" is not one of ' +
        "GET, HEAD, POST, PUT, PATCH, DELETE, CONNECT, OPTIONS, TRACE",
      'spec.corsPolicy.allowHeaders[0]: "X-A" must be in lower case',
      "spec.corsPolicy.maxAge: must be whole seconds",
    ],
  ],
  [
    "words that would end a line",
    `{ ${a}, appendHeaders: { x: "a\\r\\nb: c" }, rewrite: { uri: "/a b", authority: "a/b" } }`,
    [
      'spec.appendHeaders.x: "a\\r\\nb: c" must not have control characters',
      'spec.rewrite.uri: "/a b" must not have spaces or control characters',
      'spec.rewrite.authority: "a/b" is not a host with or without port',
    ],
  ],
  [
    "a wait of a year",
    `{ ${a}, httpReqTimeout: { simpleTimeout: { timeout: 8760h } } }`,
    ["spec.httpReqTimeout.simpleTimeout.timeout: is too long: 49 days at most"],
  ],
  [
    "an empty header to append",
    `{ ${a}, appendHeaders: { x: "" } }`,
    ["spec.appendHeaders.x: must not be empty"],
  ],
  [
    "headers that would say again where the message goes and ends",
    `{ ${a}, appendHeaders: { host: b, content-length: "5", x-a: "1" } }`,
    [
      "spec.appendHeaders.host: cannot be appended: rewrite.authority sets it",
      "spec.appendHeaders.content-length: cannot be appended: the proxy says it itself",
    ],
  ],
  [
    "a mirror without a name",
    `{ ${a}, mirror: {} }`,
    ["spec.mirror: must have a name or a service"],
  ],
];

describe("a route rule with", () => {
  test.each(rules)("%s", (_, spec, why) => {
    expect(told("RouteRule", spec)).toEqual([...why]);
  });
});

const policies: readonly (readonly [title: string, spec: string, why: readonly string[]])[] = [
  ["no destination", "{}", ["spec: must have a destination"]],
  ["only a destination", `{ ${a} }`, []],
  [
    "a balancer without a name",
    `{ ${a}, loadBalancing: {} }`,
    ["spec.loadBalancing: must have a name"],
  ],
  [
    "a balancer that nobody knows",
    `{ ${a}, loadBalancing: { name: RANDO } }`,
    [
      'spec.loadBalancing.name: must be one of ROUND_ROBIN, LEAST_CONN, RANDOM, not "RANDO" ' +
        "(did you mean RANDOM?)",
    ],
  ],
  [
    "limits out of range",
    `{ ${a}, circuitBreaker: { simpleCb:
       { maxConnections: -1, httpMaxEjectionPercent: 101, sleepWindow: -1s } } }`,
    [
      "spec.circuitBreaker.simpleCb.maxConnections: must be at least 0, not -1",
      "spec.circuitBreaker.simpleCb.httpMaxEjectionPercent: must be between 0 and 100, not 101",
      "spec.circuitBreaker.simpleCb.sleepWindow: must be at least 1ms",
    ],
  ],
  [
    "a list of policies and one of its own",
    `{ ${a}, policy: [{}], loadBalancing: { name: RANDOM } }`,
    ["spec.policy: must not stand beside loadBalancing, circuitBreaker or tags"],
  ],
];

describe("a destination policy with", () => {
  test.each(policies)("%s", (_, spec, why) => {
    expect(told("DestinationPolicy", spec)).toEqual([...why]);
  });

  test("limits of 0 has the limits of its release", () => {
    const text = `destination: a.b
circuitBreaker: { simpleCb: { maxConnections: 0, httpMaxRetries: 0, sleepWindow: 15500ms } }`;
    const [config] = readDocuments(text, { file: "r", namespace: "default" }).configs;
    expect(config).toMatchObject({
      spec: { circuitBreaker: { maxConnections: 1_024, httpMaxRetries: 3, sleepWindowMs: 15_500 } },
    });
  });
});

const to = (service: string, ...ports: readonly string[]): string =>
  `{ destination: { service: '${service}' }, ports: [${ports.map((port) => `{ ${port} }`)}] }`;

const egress: readonly (readonly [title: string, spec: string, why: readonly string[]])[] = [
  ["a domain", to("*.a.com", "port: 80, protocol: http", "port: 443, protocol: HTTPS"), []],
  ["a block of addresses", to("10.0.0.0/8", "port: 80, protocol: tcp"), []],
  [
    "an address, by either",
    to("10.0.0.1", "port: 80, protocol: tcp", "port: 81, protocol: http"),
    [],
  ],
  ["no ports", to("a.com"), ["spec.ports: must have at least one port"]],
  [
    "half a port",
    to("a.com", "port: 80", "protocol: http"),
    ["spec.ports[0]: must have a protocol", "spec.ports[1]: must have a port"],
  ],
  [
    "a port twice",
    to("a.com", "port: 80, protocol: http", "port: 80, protocol: grpc"),
    ["spec.ports[1].port: 80 is given twice"],
  ],
  [
    "a domain spoken to in TCP",
    to("a.com", "port: 80, protocol: tcp"),
    ["spec.ports[0].protocol: must be one of http, https, http2, grpc, since a.com is a domain"],
  ],
  [
    "a block of addresses spoken to in HTTP",
    to("10.0.0.0/8", "port: 80, protocol: http"),
    ["spec.ports[0].protocol: must be tcp or mongo, since 10.0.0.0/8 is a block of addresses"],
  ],
  [
    "a service of the mesh",
    "{ destination: { name: a }, ports: [{ port: 80, protocol: http }] }",
    [
      "spec.destination: must have a service",
      "spec.destination.name: has no place in an egress rule (write service alone)",
    ],
  ],
];

describe("an egress rule for", () => {
  test.each(egress)("%s", (_, spec, why) => {
    expect(told("EgressRule", spec)).toEqual([...why]);
  });

  test("a proxy of its own is refused", () => {
    const spec = to("a.com", "port: 80, protocol: http").replace(/\}$/, ", useEgressProxy: true }");
    expect(told("EgressRule", spec)).toEqual([
      "spec.useEgressProxy: is not supported: egress through a proxy of its own",
    ]);
  });
});
