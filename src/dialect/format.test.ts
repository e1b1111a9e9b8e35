/** Rules written back: what `get -o yaml` shows reads as the same rule. */
import { describe, expect, test } from "bun:test";
import type { Config } from "../model/config.ts";
import { formatConfig } from "./format.ts";
import { readDocuments } from "./read.ts";

const options = { file: "rules.yaml", namespace: "default" };

function only(text: string): Config {
  const { configs, problems } = readDocuments(text, options);
  expect(problems.filter(({ severity }) => severity === "error")).toEqual([]);
  expect(configs).toHaveLength(1);
  return configs[0]!;
}

const everything = `
  precedence: -2
  match:
    request:
      headers:
        uri: { prefix: /a }
        authority: { exact: a.com }
        x-user: { regex: "j.*" }
  route:
  - destination: { name: b }
    labels: { version: v2 }
    weight: 30
  - labels: { version: v1 }
    weight: 70
  rewrite: { uri: /b, authority: b.com }
  websocketUpgrade: true
  httpReqTimeout: { simpleTimeout: { timeout: 0.25s } }
  httpReqRetries:
    simpleRetry: { attempts: 3, perTryTimeout: 100ms, hedgeOnPerTryTimeout: IDEMPOTENT }
  httpFault: { delay: { percent: 0.5, fixedDelay: 2s }, abort: { percent: 1, httpStatus: 503 } }
  mirror: { name: c, labels: { version: v3 } }
  appendHeaders: { x-a: b }
  corsPolicy: { allowOrigin: ["*"], allowMethods: [GET], maxAge: 300s, allowCredentials: true }`;

const v1alpha2 = (kind: string, spec: string): string =>
  `apiVersion: config.istio.io/v1alpha2\nkind: ${kind}\nmetadata: { name: x }\nspec:${spec}\n`;

const documents: readonly (readonly [string, string])[] = [
  [
    "a route rule with everything",
    v1alpha2("RouteRule", `\n  destination: { name: a }${everything}`),
  ],
  ["the same in 0.1", `type: route-rule\nname: x\nspec:\n  destination: a.b.c${everything}`],
  ["a rule of a caller", "destination: a.b\nmatch: { source: c.d, sourceTags: { version: v1 } }"],
  ["a rule of any caller with tags", "destination: a.b\nmatch: { sourceTags: { version: v1 } }"],
  ["a redirect", v1alpha2("RouteRule", " { destination: { name: a }, redirect: { uri: /x } }")],
  [
    "a policy of 0.1 for two versions",
    `destination: a.b
policy:
- tags: { version: v1 }
  loadBalancing: { name: RANDOM }
- tags: { version: v2 }
  circuitBreaker: { simpleCb: { maxConnections: 5, sleepWindow: 15500ms } }`,
  ],
  [
    "a policy",
    v1alpha2(
      "DestinationPolicy",
      ` { destination: { name: a, labels: { version: v1 } }, source: { name: b },
          loadBalancing: { name: LEAST_CONN }, circuitBreaker: { simpleCb: {} } }`,
    ),
  ],
  [
    "an authorization policy with everything",
    `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: x, annotations: { istio.io/dry-run: "true" } }
spec:
  selector: { matchLabels: { app: a } }
  action: DENY
  rules:
  - {}
  - from:
    - source: { principals: ["*"], notNamespaces: [a], ipBlocks: [10.0.0.0/8] }
    to:
    - operation: { methods: [GET], ports: ["80"], notPaths: ["/a/{**}"] }
    when:
    - { key: "request.headers[x]", values: [a], notValues: [b] }`,
  ],
  [
    "an authorization policy that asks another, of services",
    `apiVersion: security.istio.io/v1beta1
kind: AuthorizationPolicy
metadata: { name: x }
spec:
  targetRefs:
  - { kind: Service, name: a }
  - { group: networking.istio.io, kind: ServiceEntry, name: b }
  action: CUSTOM
  provider: { name: p }
  rules: [{ to: [{ operation: { hosts: [a.com] } }] }]`,
  ],
  [
    "a policy that says nothing",
    "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: x }\nspec: {}",
  ],
  [
    "mutual TLS of some ports",
    `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: x }
spec:
  selector: { matchLabels: { app: a } }
  mtls: { mode: STRICT }
  portLevelMtls: { 80: { mode: DISABLE }, 81: {} }`,
  ],
  [
    "tokens with everything",
    `apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: x }
spec:
  jwtRules:
  - issuer: a
    audiences: [b]
    jwksUri: https://a/keys
    fromHeaders: [{ name: x, prefix: "T " }, { name: y }]
    fromParams: [t]
    fromCookies: [c]
    outputPayloadToHeader: p
    outputClaimToHeaders: [{ header: h, claim: sub }]
    forwardOriginalToken: true
    timeout: 2s
    spaceDelimitedClaims: [groups]
  - { jwks: '{"keys":[]}' }`,
  ],
  [
    "roles of the first releases",
    `apiVersion: rbac.istio.io/v1alpha1
kind: ServiceRole
metadata: { name: x }
spec: { rules: [{ services: ["*"], methods: [GET] }] }`,
  ],
  [
    "settings of identity and of who may be asked",
    `kind: MeshConfig
trustDomain: acme.example
trustDomainAliases: [old.example]
enableAutoMtls: false
authPolicy: MUTUAL_TLS
extensionProviders:
- name: a
  envoyExtAuthzHttp:
    service: b/c.b.svc.cluster.local
    port: 80
    timeout: 1s
    failOpen: true
    statusOnError: "503"
    pathPrefix: /check
    includeRequestHeadersInCheck: [cookie, "x-*"]
    includeAdditionalHeadersInCheck: { x-a: b }
    includeRequestBodyInCheck: { maxRequestBytes: 10, allowPartialMessage: true }
    headersToUpstreamOnAllow: [x]
    headersToDownstreamOnDeny: [y]
    headersToDownstreamOnAllow: [z]
- name: d
  envoyExtAuthzGrpc: { service: 10.0.0.1, port: 81 }`,
  ],
  [
    "a destination rule with everything",
    `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: x }
spec:
  host: a
  exportTo: ["."]
  workloadSelector: { matchLabels: { app: b } }
  trafficPolicy:
    loadBalancer:
      consistentHash:
        httpCookie: { name: c, path: /, ttl: 0s, attributes: [{ name: SameSite, value: Lax }] }
        maglev: { tableSize: 101 }
      localityLbSetting: { failover: [{ from: eu, to: us }] }
      warmup: { duration: 30s, minimumPercent: 0, aggression: 1.5 }
    connectionPool: { tcp: { maxConnections: 7, connectTimeout: 0.5s }, http: { maxRetries: 3 } }
    outlierDetection: { consecutive5xxErrors: 0, splitExternalLocalOriginErrors: true }
    healthCheck:
      http: { path: /up, method: HEAD, headers: { x-a: b }, expectedStatuses: ["200-299"] }
      interval: 5s
      timeout: 0.3s
      jitter: 0s
      healthyThreshold: 1
      port: 15021
      plaintext: true
    retryBudget: { percent: 0, minRetryConcurrency: 0, budgetInterval: 10s }
    proxyProtocol: { version: V2 }
    portLevelSettings:
    - port: { number: 80 }
      loadBalancer: { localityLbSetting: { distribute: [{ from: "*", to: { a/*: 100 } }] } }
      tls: { mode: SIMPLE, insecureSkipVerify: true }
      healthCheck: { grpc: { serviceName: a.B }, unhealthyInterval: 1s }
    tls:
      mode: MUTUAL
      clientCertificate: /c.pem
      privateKey: /k.pem
      caCertificates: /ca.pem
      sni: a.example
      subjectAltNames: [b.example, spiffe://x/y]
  subsets:
  - name: v1
    labels: { version: v1 }
    trafficPolicy:
      loadBalancer: { simple: ROUND_ROBIN }
      connectionPool: { tcp: {} }
      healthCheck: { tcp: { send: PING, receive: [PONG] } }
  - name: rest
`,
  ],
  [
    "an egress rule",
    v1alpha2(
      "EgressRule",
      ' { destination: { service: "*.a.com" }, ports: [{ port: 80, protocol: http }] }',
    ),
  ],
  [
    "a service entry",
    `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: x, namespace: prod, labels: { app: a }, annotations: { note: "1" } }
spec:
  hosts: [reviews.prod.svc.cluster.local]
  addresses: [10.0.0.1]
  ports: [{ number: 9080, name: http, protocol: HTTP, targetPort: 8080 }]
  location: MESH_INTERNAL
  resolution: STATIC
  endpoints:
  - { address: 127.0.0.1, ports: { http: 9081 }, labels: { version: v1 }, weight: 3 }`,
  ],
  [
    "a workload entry",
    `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: x }
spec: { address: 10.0.0.1, ports: { http: 80 }, labels: { app: a }, locality: eu/a }`,
  ],
  [
    "a rule with everything",
    v1alpha2(
      "rule",
      `
  match: request.method == "GET"
  failPolicy: open
  sampling: { random: { attributeExpression: request.size,
                        percentSampled: { numerator: 7, denominator: TEN_THOUSAND } } }
  requestHeaderOperations: [{ name: x-a, values: ['"b"'], operation: APPEND }]
  responseHeaderOperations: [{ name: x-a, operation: REMOVE }]
  rateLimit: 100/s by request.path
  actions:
  - { name: a, handler: h.denier, instances: [i, j.k] }
  - handler: { compiledAdapter: stdio, params: { outputAsJson: false, n: 0 } }
    instances: [{ compiledTemplate: logentry, params: { variables: { source: a, at: b } } }]
    charge: 2`,
    ),
  ],
  [
    "a sample by rate",
    v1alpha2("rule", " { sampling: { rateLimit: { samplingDuration: 1s, samplingRate: 2 } } }"),
  ],
  [
    "a handler",
    v1alpha2(
      "handler",
      ` { adapter: a, params: { b: false }, connection: { address: "c:1", timeout: 1s },
          timeout: 2s, failPolicy: closed }`,
    ),
  ],
  ["a handler of an older kind", v1alpha2("stdio", " { outputAsJson: false, outputLevel: 0 }")],
  ["a handler of an older kind that says nothing", v1alpha2("list", "")],
  [
    "an instance",
    v1alpha2(
      "instance",
      " { template: kubernetes, params: { source_uid: a }, attributeBindings: { b: $out.c } }",
    ),
  ],
  [
    "an instance of an older kind",
    v1alpha2("kubernetes", " { sourceUid: a, attribute_bindings: { b: $out.c } }"),
  ],
  [
    "a manifest",
    v1alpha2(
      "attributemanifest",
      ' { revision: "1", attributes: { a.b: { valueType: BOOL, description: c } } }',
    ),
  ],
  [
    "a quota spec",
    v1alpha2(
      "QuotaSpec",
      ` { rules: [{ match: [{ clause: { a: { exact: z }, b: { regex: c } } }],
                    quotas: [{ quota: q, charge: 0 }] }] }`,
    ),
  ],
  [
    "a quota spec's services",
    v1alpha2("QuotaSpecBinding", " { services: [{ name: a }], quotaSpecs: [{ name: q }] }"),
  ],
  [
    "an API",
    v1alpha2(
      "HTTPAPISpec",
      ` { attributes: { attributes: { a: { doubleValue: 1.5 }, b: { boolValue: false } } },
          patterns: [{ uriTemplate: "/{x}", httpMethod: PUT,
              attributes: { attributes: { c: { int64Value: 1 } } } },
            { httpMethod: GET, regex: y, attributes: { attributes: { d: { bytesValue: CgAAAQ== },
              e: { timestampValue: "2026-01-02T15:04:05.5Z" }, f: { durationValue: 1m1.5s },
              g: { stringMapValue: { entries: { a: b } } }, h: { stringValue: s } } } }],
          apiKeys: [{ cookie: c }] }`,
    ),
  ],
  [
    "an API's services",
    v1alpha2("HTTPAPISpecBinding", " { services: [{ service: a.b }], apiSpecs: [{ name: q }] }"),
  ],
  [
    "rules of a subject, in 0.1",
    `subject: a.b.svc.cluster.local
rules:
- selector: target.service == "x*"
  aspects:
  - { kind: lists, params: { check_expression: source.ip } }
`,
  ],
  ["adapters in 0.1", "adapters:\n- { name: a, kind: lists, impl: b, params: { c: false } }\n"],
  [
    "rules of a subject with a name of their own",
    "apiVersion: mesh.istio.io/v1alpha1\nkind: ServiceConfig\nmetadata: { name: x }\n" +
      "spec: { subject: global, rules: [{ aspects: [{ kind: denials }] }] }\n",
  ],
  [
    "settings",
    "kind: MeshConfig\naccessLogFile: /dev/stdout\nconnectTimeout: 3s\n" +
      "egressProxyAddress: istio-egress:80\n",
  ],
  [
    "settings of gateways",
    "kind: MeshConfig\ningressClass: edge\ningressControllerMode: DEFAULT\n" +
      "defaultConfig: { gatewayTopology: { numTrustedProxies: 2, " +
      "forwardClientCertDetails: APPEND_FORWARD, proxyProtocol: {} } }\n",
  ],
  [
    "settings of paths by Istio's word",
    "kind: MeshConfig\npathNormalization: { normalization: DECODE_AND_MERGE_SLASHES }\n",
  ],
  [
    "settings of paths by Envoy's word",
    "kind: MeshConfig\npathNormalization: { pathWithEscapedSlashesAction: REJECT_REQUEST }\n",
  ],
];

/** Where things stand is not said again. */
function placeless(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if ("column" in value) return "a place";
  if (Array.isArray(value)) return value.map(placeless);
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key,
      key === "positions" ? "places" : placeless(inner),
    ]),
  );
}

describe("what is written reads back as the same", () => {
  test.each(documents)("%s", (_, text) => {
    const config = only(text);
    const again = only(formatConfig(config));
    expect([again.kind, again.apiVersion, again.meta, placeless(again.spec)]).toEqual([
      config.kind,
      config.apiVersion,
      config.meta,
      placeless(config.spec),
    ]);
    expect(formatConfig(again)).toBe(formatConfig(config));
  });
});

test("defaults are left out", () => {
  expect(formatConfig(only(v1alpha2("RouteRule", " { destination: { name: a } }")))).toBe(
    `apiVersion: config.istio.io/v1alpha2
kind: RouteRule
metadata:
  name: x
  namespace: default
spec:
  destination:
    service: a.default.svc.cluster.local
`,
  );
});
