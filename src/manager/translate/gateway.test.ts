/** What rules let in from outside, as the gateway gets it. */
import { describe, expect, test } from "bun:test";
import { Listener_Protocol, type ProxyConfig } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { isError } from "../../core/problem.ts";
import { readDocuments } from "../../dialect/read.ts";
import type { Service, ServiceInstance, ServicePort } from "../../model/service.ts";
import { Catalog } from "./catalog.ts";
import { ruleSetOf } from "./rule-set.ts";
import { translate } from "./translate.ts";
import { Translator } from "./translator.ts";

const gateway = { service: "", namespace: "default", labels: {}, mode: "gateway" } as const;

function service(name: string, ...ports: readonly (readonly [string, number, string?])[]): Service {
  return {
    host: `${name}.default.svc.cluster.local`,
    namespace: "default",
    addresses: [],
    ports: ports.map(([port, number, protocol = "HTTP"]) => ({
      name: port,
      number,
      protocol: protocol as ServicePort["protocol"],
    })),
    resolution: "STATIC",
    external: false,
    registry: "local",
  };
}

const services = [
  service("shop", ["http", 80], ["admin", 81], ["raw", 82, "TCP"]),
  service("home", ["http", 8080]),
];

function rulesOf(text: string) {
  const { configs, problems } = readDocuments(text, { file: "a.yaml", namespace: "default" });
  expect(problems.filter(isError)).toEqual([]);
  return ruleSetOf(configs, "cluster.local");
}

function configOf(text: string): ProxyConfig {
  return translate(rulesOf(text), services, [], gateway);
}

/** "http-80 shop.example,shop.example:80: exact /a -> outbound|80||shop" */
function summary({ virtualHosts }: ProxyConfig): string[] {
  return virtualHosts.flatMap(({ listener, domains, routes }) =>
    routes.map(({ match, action, rewrite }) => {
      const { kind } = match?.path ?? {};
      const path = kind?.case === undefined ? "every" : `${kind.case} ${kind.value}`;
      const to =
        action.case === "forward"
          ? action.value.clusters.map(({ cluster, weight }) => `${cluster} ${weight}`).join("+")
          : action.case;
      const where = rewrite === undefined ? "" : ` as ${rewrite.uri}`;
      return `${listener} ${domains}: ${path} -> ${to}${where}`
        .replaceAll(".default.svc.cluster.local", "")
        .replaceAll(" 100", "");
    }),
  );
}

const ingress = (rest: string, name = "web"): string =>
  `---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: ${name}, annotations: { "kubernetes.io/ingress.class": istio } }
spec:
${rest.replace(/^/gm, "  ")}
`;

const path = (value: string, to: string, port: string | number = 80, type = "Exact"): string =>
  `{ path: "${value}", pathType: ${type}, backend: { service: { name: ${to}, ` +
  `port: { ${typeof port === "number" ? "number" : "name"}: ${port} } } } }`;

const routeRule = (name: string, rest: string): string =>
  `---
apiVersion: config.istio.io/v1alpha2
kind: RouteRule
metadata: { name: ${name} }
spec:
  destination: { name: shop }
${rest.replace(/^/gm, "  ")}
`;

describe("an Ingress", () => {
  test("becomes a virtual host of each host, its narrowest paths first", () => {
    const text = ingress(`rules:
- host: shop.example
  http:
    paths:
    - ${path("/", "shop", 80, "Prefix")}
    - ${path("/admin", "shop", "admin", "Prefix")}
    - ${path("/a", "home", 8080)}
- http: { paths: [${path("/", "home", "http", "Prefix")}] }`);
    expect(summary(configOf(text))).toEqual([
      "http-80 *: every -> outbound|8080||home",
      "http-80 shop.example,shop.example:80: exact /a -> outbound|8080||home",
      "http-80 shop.example,shop.example:80: segmentPrefix /admin -> outbound|81||shop",
      "http-80 shop.example,shop.example:80: every -> outbound|80||shop",
    ]);
  });

  test("of several prefixes asks for the longest first", () => {
    const paths = ["/a", "/a/b/c", "/a/b"].map((one) => path(one, "shop", 80, "Prefix"));
    const text = ingress(`rules: [{ http: { paths: [${paths}] } }]`);
    expect(summary(configOf(text)).map((line) => line.split(" ")[3])).toEqual([
      "/a/b/c",
      "/a/b",
      "/a",
    ]);
  });

  test("shares its hosts with others, and its default backend comes last", () => {
    const fallback = "defaultBackend: { service: { name: home, port: { name: http } } }";
    const text =
      ingress(
        `rules: [{ host: x.example, http: { paths: [${path("/b", "home", "http")}] } }]`,
        "b",
      ) +
      ingress(
        `${fallback}\nrules: [{ host: x.example, http: { paths: [${path("/a", "shop")}] } }]`,
        "a",
      );
    expect(summary(configOf(text))).toEqual([
      "http-80 *: every -> outbound|8080||home",
      "http-80 x.example,x.example:80: exact /a -> outbound|80||shop",
      "http-80 x.example,x.example:80: exact /b -> outbound|8080||home",
    ]);
  });

  test("is served at whatever port its host is asked for", () => {
    const text = `apiVersion: config.istio.io/v1alpha2
kind: IngressRule
metadata: { name: x }
spec:
  destination: { name: shop }
  destinationPort: 80
  match: { request: { headers: { authority: { exact: "x.example:8080" } } } }`;
    expect(summary(configOf(text))).toEqual([
      "http-80 x.example,x.example:80: every -> outbound|80||shop",
    ]);
  });

  test("of another class is not ours", () => {
    const text = ingress(`rules: [{ http: { paths: [${path("/a", "shop")}] } }]`);
    expect(summary(configOf(text.replace("istio }", "nginx }")))).toEqual([]);
  });

  test("leads nowhere by a port that is not HTTP, and to a service that is yet to come", () => {
    const text = ingress(`rules:
- http:
    paths: [${path("/a", "shop", "raw")}, ${path("/b", "shop", 83)}, ${path("/c", "new", "http")},
      ${path("/d", "new", 80)}]`);
    expect(summary(configOf(text))).toEqual(["http-80 *: exact /d -> outbound|80||new"]);
  });

  test("says at its routes which line let them in", () => {
    const { virtualHosts } = configOf(
      ingress(`rules: [{ http: { paths: [${path("/a", "shop")}] } }]`),
    );
    expect(virtualHosts[0]?.routes[0]?.origin).toMatchObject({
      object: "Ingress/default/web",
      file: "a.yaml",
      line: 2,
    });
    const text = ingress(`rules: [{ http: { paths: [${path("/a", "shop")}] } }]`);
    const [host] = configOf(text + routeRule("all", "precedence: 1")).virtualHosts;
    expect(host?.routes[0]?.origin?.object).toBe("RouteRule/default/all");
  });
});

describe("TLS", () => {
  const hosts = (names: string): string =>
    names
      .split(" ")
      .map((name) => `- host: "${name}"\n  http: { paths: [${path("/a", "shop")}] }`)
      .join("\n");

  test("is another listener, with the certificates that hosts name", () => {
    const config = configOf(
      ingress(`tls: [{ hosts: [a.example, "*.b.example"], secretName: both }, { secretName: rest }]
rules:
${hosts("a.example x.b.example c.example")}`),
    );
    expect(config.settings?.gateway?.listeners).toMatchObject([
      { name: "http-80", port: 80, protocol: Listener_Protocol.HTTP, certificates: [] },
      {
        name: "https-443",
        port: 443,
        protocol: Listener_Protocol.HTTPS,
        certificates: [
          { name: "both.default", hosts: ["a.example", "x.b.example"] },
          { name: "rest.default", hosts: ["c.example"] },
        ],
      },
    ]);
    const byListener = Map.groupBy(config.virtualHosts, ({ listener }) => listener);
    expect(byListener.get("https-443")?.map(({ name }) => name)).toEqual([
      "a.example:443",
      "c.example:443",
      "x.b.example:443",
    ]);
    expect(byListener.get("http-80")?.map(({ name }) => name)).toEqual([
      "a.example:80",
      "c.example:80",
      "x.b.example:80",
    ]);
  });

  test("is the only way in where plain HTTP is refused, and in the first releases", () => {
    const tls = `tls: [{ secretName: one }]\nrules:\n${hosts("a.example")}`;
    const refused = ingress(tls).replace(
      ": istio }",
      ': istio, "kubernetes.io/ingress.allow-http": "false" }',
    );
    expect(configOf(refused).virtualHosts.map(({ name }) => name)).toEqual(["a.example:443"]);
    const first = ingress(
      "tls: [{ secretName: one }]\nbackend: { serviceName: shop, servicePort: 80 }",
    ).replace("networking.k8s.io/v1", "extensions/v1beta1");
    const config = configOf(first);
    expect(summary(config)).toEqual(["https-443 *: every -> outbound|80||shop"]);
    expect(config.settings?.gateway?.listeners[1]?.certificates).toMatchObject([
      { name: "one.default", hosts: [] },
    ]);
  });
});

describe("route rules of the destination", () => {
  const text = ingress(
    `rules: [{ host: x.example, http: { paths: [${path("/shop", "shop", 80, "Prefix")}] } }]`,
  );

  test("hold for the paths that are let in, in their own order", () => {
    const rules = [
      routeRule(
        "canary",
        `precedence: 2
match: { request: { headers: { cookie: { exact: canary } } } }
route: [{ labels: { version: v2 } }]`,
      ),
      routeRule(
        "cart",
        `precedence: 1
match: { request: { headers: { uri: { prefix: /shop/cart } } } }
rewrite: { uri: /cart }`,
      ),
      routeRule("other", "match: { request: { headers: { uri: { exact: /other } } } }"),
    ];
    const where = "http-80 x.example,x.example:80";
    expect(summary(configOf(text + rules.join("")))).toEqual([
      `${where}: segmentPrefix /shop -> outbound|80|version=v2|shop`,
      `${where}: prefix /shop/cart -> outbound|80||shop as /cart`,
      `${where}: segmentPrefix /shop -> outbound|80||shop`,
    ]);
  });

  test("rewrite the prefix that they mean, though a longer one is let in", () => {
    const rule = routeRule("all", "rewrite: { uri: /v2/ }");
    expect(summary(configOf(text + rule))).toEqual([
      "http-80 x.example,x.example:80: segmentPrefix /shop -> outbound|80||shop as /v2/shop",
    ]);
  });

  test("that speak of other callers do not hold", () => {
    const rule = routeRule(
      "inner",
      "match: { source: { name: home } }\nroute: [{ labels: { version: v2 } }]",
    );
    expect(summary(configOf(text + rule))).toEqual([
      "http-80 x.example,x.example:80: segmentPrefix /shop -> outbound|80||shop",
    ]);
  });
});

test("an ingress rule with the higher precedence is tried first, whatever its path", () => {
  const rule = (name: string, rest: string): string => `---
apiVersion: config.istio.io/v1alpha2
kind: IngressRule
metadata: { name: ${name} }
spec: { destination: { name: shop }, ${rest} }
`;
  const uri = "match: { request: { headers: { uri: { exact: /a } } } }";
  const text =
    rule("a", `destinationPort: 80, ${uri}`) + rule("b", "destinationPort: 81, precedence: 1");
  expect(summary(configOf(text))).toEqual([
    "http-80 *: every -> outbound|81||shop",
    "http-80 *: exact /a -> outbound|80||shop",
  ]);
});

test("TLS that ends elsewhere is passed on by its host, to a port that is not HTTP", () => {
  const annotations =
    '"kubernetes.io/ingress.class": istio, ' +
    '"nginx.ingress.kubernetes.io/ssl-passthrough": "true"';
  const rule = (host: string, to: number) =>
    `{ host: ${host}, http: { paths: [{ path: /, pathType: Prefix, ` +
    `backend: { service: { name: shop, port: { number: ${to} } } } }] } }`;
  const config = configOf(`apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: pass, annotations: { ${annotations} } }
spec:
  rules:
  - ${rule("db.example", 82)}
  - ${rule('"*.db.example"', 82)}
  - ${rule("web.example", 80)}
`);
  expect(config.virtualHosts).toEqual([]);
  expect(
    config.settings?.gateway?.listeners.map(({ name, passesTls }) => [name, passesTls]),
  ).toEqual([
    ["http-80", false],
    ["https-443", true],
  ]);
  const seen = config.tcpDestinations.map(({ name, port, serverNames, routes }) => {
    const to = routes.flatMap(({ clusters }) => clusters.map(({ cluster }) => cluster));
    return [name, port, serverNames, to, routes[0]?.origin?.line];
  });
  const shop = ["outbound|82||shop.default.svc.cluster.local"];
  expect(seen).toEqual([
    ["*.db.example:443", 443, ["*.db.example"], shop, 1],
    ["db.example:443", 443, ["db.example"], shop, 1],
  ]);
});

test("a sidecar is sent none of it, and no gateway what services call among themselves", () => {
  const rules = rulesOf(ingress(`rules: [{ http: { paths: [${path("/a", "shop")}] } }]`));
  const { mode: _, ...sidecar } = gateway;
  const config = translate(rules, services, [], sidecar);
  expect(config.settings?.gateway).toBeUndefined();
  expect(config.virtualHosts.every(({ listener }) => listener === "")).toBe(true);
  expect(translate(rules, services, [], gateway).virtualHosts).toHaveLength(1);
});

test("what changes reaches a gateway as what is translated anew", () => {
  const translator = new Translator("cluster.local");
  const instance: ServiceInstance = {
    host: services[0]!.host,
    address: "10.0.0.1",
    port: 80,
    servicePort: 80,
    labels: {},
    locality: "",
    weight: 1,
    healthy: true,
    workload: "w",
  };
  const web = ingress(`rules: [{ http: { paths: [${path("/a", "shop")}] } }]`);
  const worlds = [
    [web, [], []],
    [web, services, []],
    [web, services, [instance]],
    [web + routeRule("r", "route: [{ labels: { version: v2 } }]"), services, [instance]],
    ["", services, [instance]],
  ] as const;
  const versions = worlds.map(([text, known, instances]) => {
    const rules = rulesOf(text);
    translator.update({ rules, catalog: new Catalog(known, instances) });
    const whole = translate(rules, known, instances, gateway);
    expect(translator.resources(gateway).version).toBe(whole.version);
    return whole.version;
  });
  expect(new Set(versions).size).toBe(4);
});
