/** Reading rules: what is accepted, what it comes to mean, and what a mistake is told. */
import { describe, expect, test } from "bun:test";
import { formatProblem } from "../core/problem.ts";
import { type ConfigKind, type ConfigOf, configKey } from "../model/config.ts";
import { defaultMeshSettings } from "../model/mesh-settings.ts";
import { readDocuments } from "./read.ts";

function read(text: string) {
  return readDocuments(text, { file: "rules.yaml", namespace: "default" });
}

function complaints(text: string): readonly string[] {
  return read(text).problems.map(formatProblem);
}

/** The only config of a text that has no problem. */
function only<K extends ConfigKind>(kind: K, text: string): ConfigOf<K> {
  const { configs, problems } = read(text);
  expect(problems.map(formatProblem)).toEqual([]);
  expect(configs.map((config) => config.kind)).toEqual([kind]);
  return configs[0] as ConfigOf<K>;
}

const v1alpha2 = (kind: string, spec: string): string =>
  `apiVersion: config.istio.io/v1alpha2
kind: ${kind}
metadata: { name: x }
spec:
${spec.replace(/^/gm, "  ")}
`;

describe("one rule in the spelling of every release", () => {
  const meaning = {
    destination: { host: "reviews.default.svc.cluster.local", labels: {} },
    precedence: 2,
    match: {
      source: { host: "ratings.default.svc.cluster.local", labels: { version: "v1" } },
      uri: { kind: "prefix", value: "/reviews" },
      headers: { cookie: { kind: "regex", value: "^(.*?;)?(user=jason)(;.*)?$" } },
    },
    route: [
      {
        destination: { host: "reviews.default.svc.cluster.local", labels: { version: "v2" } },
        weight: 100,
      },
    ],
    websocketUpgrade: false,
    timeoutMs: 10_500,
    retries: { attempts: 3, perTryTimeoutMs: 2_000 },
    delay: { percent: 12.5, fixedDelayMs: 7_000 },
    appendHeaders: {},
  } as const;
  const spellings: readonly (readonly [string, string])[] = [
    [
      "0.1, as its manual prints it",
      `destination: reviews.default.svc.cluster.local
precedence: 2
match:
  source: ratings.default.svc.cluster.local
  sourceTags: { version: v1 }
  httpHeaders:
    uri: { prefix: /reviews }
    cookie: { regex: "^(.*?;)?(user=jason)(;.*)?$" }
route:
- tags: { version: v2 }
httpReqTimeout: { simpleTimeout: { timeout: 10.5s } }
httpReqRetries: { simpleRetry: { attempts: 3, perTryTimeout: 2s } }
httpFault: { delay: { percent: 12.5, fixedDelay: 7s } }`,
    ],
    [
      "0.1 in its envelope, with underscores",
      `type: route-rule
name: reviews
spec:
  destination: reviews.default.svc.cluster.local
  precedence: 2
  match:
    source: ratings.default.svc.cluster.local
    source_tags: { version: v1 }
    http_headers:
      uri: { prefix: /reviews }
      cookie: { regex: "^(.*?;)?(user=jason)(;.*)?$" }
  route:
  - tags: { version: v2 }
    weight: 100
  http_req_timeout: { simple_timeout: { timeout: 10500ms } }
  http_req_retries: { simple_retry: { attempts: "3", per_try_timeout: 2s } }
  http_fault: { delay: { percent: 12.5, fixed_delay: 0h0m7s } }`,
    ],
    [
      "before 0.1, with numbers of seconds",
      `destination: reviews.default.svc.cluster.local
precedence: 2
match:
  source: ratings.default.svc.cluster.local
  source_tags: { version: v1 }
  http_headers:
    uri: { prefix: /reviews }
    cookie: { regex: "^(.*?;)?(user=jason)(;.*)?$" }
route:
- tags: { version: v2 }
http_req_timeout: { simple_timeout: { timeout_seconds: 10.5 } }
http_req_retries: { simple_retry: { attempts: 3, per_try_timeout_seconds: 2 } }
http_fault: { delay: { percent: 12.5, fixed_delay_seconds: 7.0 } }`,
    ],
    [
      "v1alpha2",
      v1alpha2(
        "RouteRule",
        `destination: { name: reviews }
precedence: 2
match:
  source: { name: ratings, labels: { version: v1 } }
  request:
    headers:
      uri: { prefix: /reviews }
      cookie: { regex: "^(.*?;)?(user=jason)(;.*)?$" }
route:
- labels: { version: v2 }
httpReqTimeout: { simpleTimeout: { timeout: 10.5s } }
httpReqRetries: { simpleRetry: { attempts: 3, perTryTimeout: 2s } }
httpFault: { delay: { percent: 12.5, fixedDelay: 7s } }`,
      ),
    ],
    [
      "v1alpha2 as JSON",
      JSON.stringify({
        apiVersion: "config.istio.io/v1alpha2",
        kind: "RouteRule",
        metadata: { name: "reviews" },
        spec: {
          destination: { service: "reviews.default.svc.cluster.local" },
          precedence: 2,
          match: {
            source: { name: "ratings", namespace: "default", labels: { version: "v1" } },
            request: {
              headers: {
                uri: { prefix: "/reviews" },
                cookie: { regex: "^(.*?;)?(user=jason)(;.*)?$" },
              },
            },
          },
          route: [{ labels: { version: "v2" } }],
          httpReqTimeout: { simpleTimeout: { timeout: "10.500s" } },
          httpReqRetries: { simpleRetry: { attempts: 3, perTryTimeout: "2s" } },
          httpFault: { delay: { percent: 12.5, fixedDelay: "7s" } },
        },
      }),
    ],
  ];
  test.each(spellings)("%s", (_, text) => {
    expect(only("RouteRule", text).spec).toEqual(meaning);
  });
});

describe("what a rule leaves open", () => {
  test("is decided as its release decided it", () => {
    const { spec } = only("RouteRule", v1alpha2("RouteRule", "destination: { name: reviews }"));
    expect(spec.timeoutMs).toBe(15_000);
    expect(spec.timeoutIsDefault).toBe(true);
    expect(spec.retries).toBeUndefined();
    expect(spec.route).toEqual([]);
  });

  test("a redirect answers 302, as the manuals of that time say", () => {
    const spec = "destination: { name: reviews }\nredirect: { uri: /new, authority: other.com }";
    expect(only("RouteRule", v1alpha2("RouteRule", spec)).spec.redirect).toEqual({
      uri: "/new",
      authority: "other.com",
      code: 302,
    });
  });

  test("a circuit breaker gets the limits that its proxies had", () => {
    const spec =
      "destination: { name: reviews }\ncircuitBreaker: { simpleCb: { maxConnections: 7 } }";
    expect(
      only("DestinationPolicy", v1alpha2("DestinationPolicy", spec)).spec.circuitBreaker,
    ).toEqual({
      maxConnections: 7,
      httpMaxPendingRequests: 1_024,
      httpMaxRequests: 1_024,
      httpMaxRetries: 3,
      httpConsecutiveErrors: 5,
      httpDetectionIntervalMs: 10_000,
      sleepWindowMs: 30_000,
      httpMaxEjectionPercent: 10,
    });
  });

  const names: readonly (readonly [written: string, domain: string | undefined, host: string])[] = [
    ["{ name: reviews }", undefined, "reviews.default.svc.cluster.local"],
    ["{ name: reviews }", "mesh.example", "reviews.default.svc.mesh.example"],
    ["{ name: reviews }", "", "reviews.default"],
    ["{ name: reviews, namespace: shop }", undefined, "reviews.shop.svc.cluster.local"],
    ["{ name: reviews, domain: example.com }", undefined, "reviews.default.example.com"],
    ["{ service: reviews }", undefined, "reviews"],
    ["{ service: '*.example.com' }", undefined, "*.example.com"],
    ["reviews.service.consul", undefined, "reviews.service.consul"],
    ["reviews", undefined, "reviews.default.svc.cluster.local"],
  ];
  test.each(names)("the service %s with domain %p is %s", (written, domain, host) => {
    const { configs } = readDocuments(v1alpha2("RouteRule", `destination: ${written}`), {
      file: "rules.yaml",
      namespace: "default",
      ...(domain !== undefined && { domain }),
    });
    expect(configs[0]).toMatchObject({ spec: { destination: { host } } });
  });
});

describe("several documents", () => {
  const rule = (name: string) => `type: route-rule\nname: ${name}\nspec: { destination: a.b }\n`;

  test("stand apart, empty ones count for nothing, and each keeps its own text", () => {
    const { configs, problems } = read(`# first\n${rule("a")}---\n---\n# second\n${rule("b")}`);
    expect(problems).toEqual([]);
    expect(configs.map(({ meta, origin }) => [meta.name, origin.line])).toEqual([
      ["a", 2],
      ["b", 8],
    ]);
    expect(configs[1]!.text).toBe(`# second\n${rule("b")}`);
  });

  test("a bad one costs no other, and all that is wrong is said at once", () => {
    const { configs, problems } = read(
      `${rule("A!")}---\n${rule("b")}---\nx: [1\n---\n${rule("c")}`,
    );
    expect(configs.map(({ meta }) => meta.name)).toEqual(["b", "c"]);
    expect(problems.map(({ position }) => position.line)).toEqual([2, 10]);
  });

  test("may come as a list", () => {
    const { configs } = read(`apiVersion: v1
kind: List
items:
- type: route-rule
  name: a
  spec:
    destination: a.b
- type: route-rule
  name: b
  spec: { destination: a.b }`);
    expect(configs.map(({ text }) => text)).toEqual([
      "type: route-rule\nname: a\nspec:\n  destination: a.b\n",
      "type: route-rule\nname: b\nspec: { destination: a.b }\n",
    ]);
  });

  test("may end their lines as Windows does", () => {
    const { configs, problems } = read(`${rule("a")}---\n${rule("b")}`.replaceAll("\n", "\r\n"));
    expect(problems).toEqual([]);
    expect(configs.map(({ meta, origin }) => [meta.name, origin.line])).toEqual([
      ["a", 1],
      ["b", 5],
    ]);
    expect(read(configs[1]!.text).configs[0]!.spec).toEqual(configs[1]!.spec);
  });

  test("specs without names get distinct ones, and texts that keep them", () => {
    const { configs } = read("destination: a.b\n---\ndestination: a.b\nprecedence: 2\n");
    expect(configs.map(({ meta }) => meta.name)).toEqual(["a", "a-2"]);
    for (const config of configs) {
      const again = read(config.text).configs[0]!;
      expect([again.meta, again.spec]).toEqual([config.meta, config.spec]);
    }
  });

  test("objects of Kubernetes between the rules are left out, with a word", () => {
    expect(complaints("apiVersion: v1\nkind: Service\nmetadata: { name: a }\n")).toEqual([
      "rules.yaml:1:1: warning: Service (v1) is left out: it is not a rule",
    ]);
  });
});

describe("a policy of 0.1 for several versions", () => {
  test("is one object with a policy for each", () => {
    const { spec } = only(
      "DestinationPolicy",
      `destination: a.b
policy:
- tags: { version: v1 }
  loadBalancing: { name: RANDOM }
- tags: { version: v2 }
  loadBalancing: { name: 1 }`,
    );
    expect(spec.destination.labels).toEqual({ version: "v1" });
    expect(spec.loadBalancing).toBe("RANDOM");
    expect(spec.others).toEqual([
      { destination: { host: "a.b", labels: { version: "v2" } }, loadBalancing: "LEAST_CONN" },
    ]);
  });
});

describe("a namespace", () => {
  const rule = "type: route-rule\nname: x\nspec: { destination: a.b }\n";

  test("is a DNS label wherever it is given", () => {
    expect(complaints(rule.replace("spec", 'namespace: "../x"\nspec'))).toEqual([
      expect.stringMatching(/^rules\.yaml:3:12: namespace: "\.\.\/x" must be of lower-case/),
    ]);
    const { problems } = readDocuments(rule, { file: "rules.yaml", namespace: "../x" });
    expect(problems.map(formatProblem)).toEqual([
      expect.stringMatching(/^rules\.yaml:1:1: the namespace "\.\.\/x" must be of lower-case/),
    ]);
  });
});

describe("settings of the mesh", () => {
  test("are a document of their own fields, with or without a kind", () => {
    const fields =
      "accessLogFile: /dev/stdout\nconnectTimeout: 2s\noutboundTrafficPolicy: { mode: 0 }";
    for (const text of [fields, `kind: MeshConfig\n${fields}`])
      expect(only("MeshConfig", text).spec).toEqual({
        outboundTrafficPolicy: "REGISTRY_ONLY",
        accessLogFile: "/dev/stdout",
        accessLogEncoding: "TEXT",
        connectTimeoutMs: 2_000,
        drainDurationMs: 30_000,
        egressProxyAddress: "",
        pathNormalization: { normalization: "BASE", escapedSlashes: "KEEP_UNCHANGED" },
        ingress: { mode: "STRICT", class: "istio" },
        gatewayTopology: defaultMeshSettings.gatewayTopology,
        identity: defaultMeshSettings.identity,
        authorizers: [],
      });
  });

  test("that have no default must be given", () => {
    const { connectTimeoutMs: _, drainDurationMs: __, ...meshDefaults } = defaultMeshSettings;
    const options = { file: "mesh.yaml", namespace: "default", meshDefaults };
    const { problems } = readDocuments("kind: MeshConfig\naccessLogFile: /dev/stdout\n", options);
    expect(problems.map(formatProblem)).toEqual([
      "mesh.yaml:1:1: must have a connectTimeout, which has no default",
      "mesh.yaml:1:1: must have a drainDuration in its defaultConfig, which has no default",
    ]);
    const given = "connectTimeout: 2s\ndefaultConfig: { drainDuration: 3s }\n";
    const [config] = readDocuments(given, options).configs;
    expect(config?.spec).toMatchObject({ connectTimeoutMs: 2_000, drainDurationMs: 3_000 });
  });

  test.each([
    ["{}", "BASE", "KEEP_UNCHANGED"],
    ["{ normalization: DEFAULT }", "BASE", "KEEP_UNCHANGED"],
    ["{ normalization: NONE }", "NONE", "KEEP_UNCHANGED"],
    ["{ normalization: 3 }", "MERGE_SLASHES", "KEEP_UNCHANGED"],
    ["{ normalization: DECODE_AND_MERGE_SLASHES }", "MERGE_SLASHES", "UNESCAPE_AND_FORWARD"],
    ["{ pathWithEscapedSlashesAction: REJECT_REQUEST }", "BASE", "REJECT_REQUEST"],
  ] as const)("normalise paths: %s", (written, normalization, escapedSlashes) => {
    const text = `kind: MeshConfig\npathNormalization: ${written}`;
    const { spec } = only("MeshConfig", text);
    expect(spec.pathNormalization).toEqual({ normalization, escapedSlashes });
  });

  test("leave escaped slashes to one of two fields", () => {
    const action = "pathWithEscapedSlashesAction: REJECT_REQUEST";
    const both = `{ normalization: DECODE_AND_MERGE_SLASHES, ${action} }`;
    expect(complaints(`kind: MeshConfig\npathNormalization: ${both}`)).toEqual([
      "rules.yaml:2:93: pathNormalization.pathWithEscapedSlashesAction: " +
        "has no place beside DECODE_AND_MERGE_SLASHES",
    ]);
  });

  test("are one object, whatever namespace they are applied to", () => {
    const metadata = "metadata: { name: mesh, namespace: prod }";
    for (const text of [
      "connectTimeout: 2s",
      "kind: MeshConfig\nconnectTimeout: 2s",
      `kind: MeshConfig\n${metadata}\nspec: { connectTimeout: 2s }`,
    ]) {
      const { configs } = readDocuments(text, { file: "mesh.yaml", namespace: "prod" });
      expect(configs.map(configKey)).toEqual(["MeshConfig/default/mesh"]);
    }
  });
});
