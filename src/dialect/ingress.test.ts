/** What is let in from outside, as each era wrote it: what it means, and what is refused. */
import { describe, expect, test } from "bun:test";
import { formatProblem } from "../core/problem.ts";
import type { ConfigOf } from "../model/config.ts";
import { isIngressOurs, isPathRegex } from "../model/ingress.ts";
import { formatConfig } from "./format.ts";
import { readDocuments } from "./read.ts";

const options = { file: "rules.yaml", namespace: "default" };

function told(text: string): string[] {
  return readDocuments(text, options).problems.map(formatProblem);
}

function only<K extends "Ingress" | "IngressRule">(kind: K, text: string): ConfigOf<K> {
  expect(told(text).filter((line) => !line.includes("warning:"))).toEqual([]);
  const [config] = readDocuments(text, options).configs;
  if (config?.kind !== kind) throw new Error(`${config?.kind}, not ${kind}`);
  const again = readDocuments(formatConfig(config), options).configs[0];
  expect({ ...again, origin: 0, fields: 0, text: 0 }).toEqual({
    ...config,
    origin: 0,
    fields: 0,
    text: 0,
  });
  return config as ConfigOf<K>;
}

const ingress = (apiVersion: string, spec: string, metadata = "{ name: web }"): string =>
  `apiVersion: ${apiVersion}\nkind: Ingress\nmetadata: ${metadata}\nspec:\n  ${spec}\n`;

const v1 = (rest: string, metadata?: string): string =>
  ingress("networking.k8s.io/v1", rest, metadata);
const first = (rest: string, metadata?: string): string =>
  ingress("extensions/v1beta1", rest, metadata);

const to = "backend: { service: { name: a, port: { number: 80 } } }";
const aOn80 = { host: "a.default.svc.cluster.local", port: 80 };

describe("an ingress rule", () => {
  const meaning = {
    precedence: 2,
    authority: "world.com",
    path: { kind: "exact", value: "/hello" },
    backend: { host: "world.default.svc.cluster.local", port: "http" },
    tlsSecret: "my-secret.default",
  } as const;

  test("of v1alpha2 names port and certificate in fields", () => {
    const text = `apiVersion: config.istio.io/v1alpha2
kind: IngressRule
metadata: { name: world }
spec:
  destination: { name: world }
  destinationPortName: http
  tlsSecret: my-secret.default
  precedence: 2
  match: { request: { headers: { authority: { exact: World.com }, uri: { exact: /hello } } } }`;
    expect(only("IngressRule", text).spec).toEqual(meaning);
  });

  test("of 0.1 names them in tags", () => {
    const text = `type: ingress-rule
name: world
spec:
  destination: world.default.svc.cluster.local
  precedence: 2
  match: { httpHeaders: { authority: { exact: world.com }, uri: { exact: /hello } } }
  route: [{ tags: { servicePortName: http, tlsSecret: my-secret.default }, weight: 100 }]`;
    expect(only("IngressRule", text).spec).toEqual(meaning);
    const byNumber = text.replace("servicePortName: http", 'servicePortNum: "81"');
    expect(only("IngressRule", byNumber).spec.backend.port).toBe(81);
  });

  const rule = (spec: string): string =>
    `apiVersion: config.istio.io/v1alpha2\nkind: IngressRule\nmetadata: { name: x }\nspec: ${spec}`;

  test("may say nothing but a destination: every host, every path, the only HTTP port", () => {
    expect(only("IngressRule", rule("{ destination: { name: a } }")).spec).toEqual({
      precedence: 0,
      authority: "",
      backend: { host: "a.default.svc.cluster.local", port: "" },
      tlsSecret: "",
    });
  });

  test.each([
    ["{ destinationPort: 80 }", "spec: must have a destination"],
    ["{ destination: { name: a, labels: { v: a } } }", "spec.destination: must have no labels"],
    [
      "{ destination: { name: a }, destinationPort: 1, destinationPortName: b }",
      "spec.destinationPortName: must not stand beside destinationPort",
    ],
    [
      "{ destination: { name: a }, match: { request: { headers: { cookie: { exact: b } } } } }",
      "spec.match: an ingress rule has conditions on uri and authority alone, not cookie",
    ],
    [
      "{ destination: { name: a }, match: { request: { headers: { authority: { prefix: b } } } } }",
      "spec.match: the authority of an ingress rule must be exact",
    ],
    [
      "{ destination: { name: a }, match: { source: { name: b } } }",
      "spec.match: an ingress rule has no condition on who calls: write a route rule",
    ],
  ])("%s is refused", (spec, why) => {
    expect(told(rule(spec)).map((line) => line.replace(/^[^ ]+ /, ""))).toEqual([why]);
  });
});

describe("an Ingress of Kubernetes", () => {
  test("of networking.k8s.io/v1 has hosts, paths, certificates and a class", () => {
    const text = v1(`ingressClassName: istio
  defaultBackend: { service: { name: home, port: { name: http } } }
  tls: [{ hosts: [Shop.example], secretName: shop-cert }]
  rules:
  - host: Shop.example
    http: { paths: [{ path: /cart, pathType: Prefix, ${to} }] }`);
    expect(only("Ingress", text).spec).toEqual({
      class: "istio",
      defaultBackend: { host: "home.default.svc.cluster.local", port: "http" },
      rules: [
        {
          host: "shop.example",
          paths: [{ path: { kind: "segmentPrefix", value: "/cart" }, backend: aOn80 }],
        },
      ],
      tls: [{ hosts: ["shop.example"], secretName: "shop-cert" }],
      servesPlain: true,
      passesTls: false,
    });
  });

  test("of extensions/v1beta1 has one certificate, and is served by TLS alone then", () => {
    const text = first(
      `backend: { serviceName: a, servicePort: 80 }
  tls: [{ secretName: b }, { hosts: [x.example], secretName: a }]`,
      '{ name: web, annotations: { "kubernetes.io/ingress.class": istio } }',
    );
    expect(only("Ingress", text).spec).toEqual({
      class: "istio",
      defaultBackend: aOn80,
      rules: [],
      tls: [{ hosts: [], secretName: "a" }],
      servesPlain: false,
      passesTls: false,
    });
    expect(told(text)).toEqual([
      "rules.yaml:6:8: warning: spec.tls: names several certificates: a is used for all hosts",
    ]);
  });

  test("may refuse plain HTTP", () => {
    const metadata = '{ name: web, annotations: { "kubernetes.io/ingress.allow-http": "false" } }';
    const text = v1(`defaultBackend: { service: { name: a, port: { number: 80 } } }`, metadata);
    expect(only("Ingress", text).spec.servesPlain).toBe(false);
  });

  test("may have TLS passed on, which its hosts alone can tell apart", () => {
    const pass = (spec: string, controller = "nginx.ingress"): string =>
      v1(spec, `{ name: w, annotations: { ${controller}.kubernetes.io/ssl-passthrough: "true" } }`);
    const good = pass(`rules: [{ host: db.example, http: { paths: [{ path: /, ${to} }] } }]`);
    expect([only("Ingress", good).spec.passesTls, told(good)]).toEqual([true, []]);
    const old = pass(`rules: [{ host: db.example, http: { paths: [{ ${to} }] } }]`, "ingress");
    expect(only("Ingress", old).spec.passesTls).toBe(true);
    const why = "TLS is passed on by its host alone (ssl-passthrough)";
    const odd = pass(`defaultBackend: { service: { name: a, port: { number: 80 } } }
  tls: [{ hosts: [db.example], secretName: b }]
  rules:
  - http: { paths: [{ path: /a, ${to} }, { path: /b, ${to} }] }`);
    expect(told(odd).map((line) => line.replace(/^[^ ]+ /, ""))).toEqual([
      `warning: spec.defaultBackend: has no effect: ${why}`,
      `warning: spec.tls: has no effect: ${why}`,
      `spec.rules[0]: must have a host: ${why}`,
      `warning: spec.rules[0].http: only the first path counts: ${why}`,
      `warning: spec.rules[0].http.paths[0].path: has no effect: ${why}`,
    ]);
  });

  test.each([
    ["/a", "Exact", "exact /a"],
    ["/", "Prefix", "every"],
    ["/a/", "Prefix", "segmentPrefix /a"],
    ["", undefined, "every"],
    ["/*", undefined, "every"],
    [".*", undefined, "every"],
    ["/.*", undefined, "every"],
    ["/", undefined, "exact /"],
    ["/a", undefined, "exact /a"],
    ["/index.html", undefined, "exact /index.html"],
    ["/a.*", undefined, "prefix /a"],
    ["/a/.*", "ImplementationSpecific", "prefix /a/"],
    ["/a/*", undefined, "prefix /a"],
    ["/a/.*/b", undefined, "regex /a/.*/b"],
    ["/a/.*/.*", undefined, "regex /a/.*/.*"],
    ["/v[1-9]/b", undefined, "regex /v[1-9]/b"],
  ] as const)("means by path %p of type %p the path %s", (path, type, want) => {
    const pathType = type === undefined ? "" : `pathType: ${type}, `;
    const given = path === "" ? "" : `path: "${path}", `;
    const text = v1(`rules: [{ http: { paths: [{ ${given}${pathType}${to} }] } }]`);
    const found = only("Ingress", text).spec.rules[0]?.paths[0]?.path;
    expect(found === undefined ? "every" : `${found.kind} ${found.value}`).toBe(want);
  });

  test.each([
    ["{}", ["spec: must have a default backend or rules"]],
    ["{ rules: [{ host: a.example }] }", ["spec.rules[0]: must have paths"]],
    [
      "{ rules: [{ host: '*', http: { paths: [{ backend: {} }] } }] }",
      [
        'spec.rules[0].host: "*" must be left out where any host is meant, not "*"',
        "spec.rules[0].http.paths[0].backend: must have a service",
      ],
    ],
    [
      "{ rules: [{ host: 10.0.0.1, http: { paths: [{ path: a, pathType: Exact }] } }] }",
      [
        'spec.rules[0].host: "10.0.0.1" is invalid: its last part "1" is a number',
        "spec.rules[0].http.paths[0]: must have a backend",
      ],
    ],
    [
      "{ defaultBackend: { service: { name: a } } }",
      ["spec.defaultBackend.service: must have a port"],
    ],
    [
      "{ defaultBackend: { service: { port: { number: 1 } } } }",
      ["spec.defaultBackend.service: must have a name"],
    ],
    [
      "{ defaultBackend: { service: { name: a, port: { number: 1, name: b } } } }",
      ["spec.defaultBackend.service.port: must have a number or a name, not both"],
    ],
    [
      "{ defaultBackend: { resource: { kind: Bucket } } }",
      [
        "spec.defaultBackend.resource: is not supported: write a service",
        "spec.defaultBackend: must have a service",
      ],
    ],
    [
      "{ backend: { serviceName: a, servicePort: 0 } }",
      ["spec.backend.servicePort: must be between 1 and 65535, not 0"],
    ],
    [
      `{ rules: [{ http: { paths: [{ path: "/(?=a)", ${to} }] } }] }`,
      [expect.stringMatching(/^spec.rules\[0\].http.paths\[0\].path: is not a regular expression/)],
    ],
    [
      `{ rules: [{ http: { paths: [{ path: a, pathType: Prefix, ${to} }] } }] }`,
      ["spec.rules[0].http.paths[0].path: must begin with a slash"],
    ],
    [
      "{ rule: [] }",
      [
        "spec.rule: unknown field (did you mean rules?)",
        "spec: must have a default backend or rules",
      ],
    ],
  ])("%s is refused", (spec, why) => {
    const head = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: { name: x }";
    const text = `${head}\nspec: ${spec}`;
    const { configs, problems } = readDocuments(text, options);
    expect(configs).toEqual([]);
    expect(problems.map((one) => formatProblem(one).replace(/^\S+ /, "")).toSorted()).toEqual(
      why.toSorted(),
    );
  });

  test("of another group is none of ours", () => {
    const text = ingress("config.openshift.io/v1", "{ domain: a.example }");
    expect(told(text)).toEqual([expect.stringContaining("left out: it is not a rule")]);
  });
});

test("which Ingress is ours is said by the mesh's settings", () => {
  const rows = [
    ["OFF", "", false],
    ["OFF", "istio", false],
    ["DEFAULT", "", true],
    ["DEFAULT", "istio", true],
    ["DEFAULT", "nginx", false],
    ["STRICT", "", false],
    ["STRICT", "istio", true],
    ["STRICT", "nginx", false],
  ] as const;
  for (const [mode, written, ours] of rows)
    expect([mode, written, isIngressOurs({ mode, class: "istio" }, written)]).toEqual([
      mode,
      written,
      ours,
    ]);
});

test("a path with any character of regular expressions but the dot is one", () => {
  expect(["/a", "/a.b", "/a-b_c/~d"].filter(isPathRegex)).toEqual([]);
  expect([..."[]()*+?|^$\\{}"].filter((one) => !isPathRegex(`/a${one}`))).toEqual([]);
});
