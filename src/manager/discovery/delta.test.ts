/**
 * What is kept and what is sent as a difference must be what a fresh translation gives: over random
 * histories of a mesh, for every kind of proxy in it.
 */
import { expect, test } from "bun:test";
import { create, toJson } from "@bufbuild/protobuf";
import fc from "fast-check";
import type { ConfigUpdate } from "../../api/gen/mesh/v1/discovery_pb.ts";
import { TrustBundleSchema } from "../../api/gen/mesh/v1/identity_pb.ts";
import { type ProxyConfig, ProxyConfigSchema } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { type Config, configKey } from "../../model/config.ts";
import type { Service, ServiceInstance } from "../../model/service.ts";
import { Catalog } from "../translate/catalog.ts";
import type { Resources } from "../translate/resource.ts";
import { ruleSetOf } from "../translate/rule-set.ts";
import type { NodeView } from "../translate/source.ts";
import { translateFor } from "../translate/translate.ts";
import { Translator } from "../translate/translator.ts";
import { deltaUpdate, wholeUpdate } from "./delta.ts";

const DOMAIN = "cluster.local";
const hosts = ["a", "b", "c"].map((name) => `${name}.default.svc.${DOMAIN}`);
const nodes: readonly NodeView[] = [
  { service: hosts[0]!, namespace: "default", labels: { version: "v1" } },
  { service: hosts[0]!, namespace: "default", labels: { version: "v2" } },
  { service: hosts[1]!, namespace: "other", labels: {} },
  { service: hosts[1]!, namespace: "default", labels: {} },
  { service: "", namespace: "default", labels: {}, mode: "gateway" },
  { service: "", namespace: "default", labels: {}, mode: "mixer" },
];

const anyHost = fc.constantFrom(...hosts);
const anyVersion = fc.constantFrom("v1", "v2");
const anyLabels = fc.oneof(fc.constant({}), fc.record({ version: anyVersion }));
const anyRef = fc.record({ host: anyHost, labels: anyLabels });
const plainRef = anyHost.map((host) => ({ host, labels: {} }));

const meta = (name: string) => ({ name, namespace: "default", labels: {}, annotations: {} });
const origin = { file: "rules.yaml", line: 1, column: 1 };
const common = { apiVersion: "", origin, text: "" };

const anyRouteRule: fc.Arbitrary<Config> = fc
  .record({
    name: fc.constantFrom("r1", "r2", "r3", "r4"),
    destination: plainRef,
    precedence: fc.integer({ min: 0, max: 2 }),
    source: fc.option(anyRef, { nil: undefined }),
    header: fc.option(fc.constantFrom("x", "y"), { nil: undefined }),
    route: fc.array(fc.record({ destination: anyRef, weight: fc.constantFrom(0, 50) }), {
      maxLength: 2,
    }),
  })
  .map(({ name, source, header, ...rest }) => ({
    kind: "RouteRule",
    ...common,
    meta: meta(name),
    spec: {
      ...rest,
      match: {
        ...(source !== undefined && { source }),
        headers: header === undefined ? {} : { [header]: { kind: "present" } },
      },
      websocketUpgrade: false,
      timeoutMs: 15_000,
      appendHeaders: {},
    },
  }));

const anyPolicy: fc.Arbitrary<Config> = fc
  .record({
    name: fc.constantFrom("p1", "p2"),
    destination: anyRef,
    source: fc.option(anyRef, { nil: undefined }),
    loadBalancing: fc.constantFrom("ROUND_ROBIN" as const, "RANDOM" as const),
  })
  .map(({ name, source, ...rest }) => ({
    kind: "DestinationPolicy",
    ...common,
    meta: meta(name),
    spec: { ...rest, ...(source !== undefined && { source }) },
  }));

const anyEgress: fc.Arbitrary<Config> = fc
  .record({ name: fc.constantFrom("e1", "e2"), service: fc.constantFrom("x.example", hosts[0]!) })
  .map(({ name, service }) => ({
    kind: "EgressRule",
    ...common,
    meta: meta(name),
    spec: { service, ports: [{ port: 80, protocol: "http" }] },
  }));

const anyRule: fc.Arbitrary<Config> = fc
  .record({
    name: fc.constantFrom("q1", "q2"),
    namespace: fc.constantFrom("default", "other", "istio-system"),
    handler: fc.constantFrom("h1", "h2.istio-system"),
    failPolicy: fc.constantFrom("open" as const, "closed" as const),
  })
  .map(({ name, namespace, handler, failPolicy }) => ({
    kind: "rule",
    ...common,
    meta: { ...meta(name), namespace },
    spec: {
      match: undefined,
      actions: [
        { name: "", handler: { name: handler, at: origin }, instances: [], charge: 0, at: origin },
      ],
      requestHeaders: [],
      responseHeaders: [],
      failPolicy,
    },
  }));

const anyHandler: fc.Arbitrary<Config> = fc
  .record({
    name: fc.constantFrom("h1", "h2"),
    namespace: fc.constantFrom("default", "other", "istio-system"),
    adapter: fc.constantFrom("denier", "noop"),
  })
  .map(({ name, namespace, adapter }) => ({
    kind: "handler",
    ...common,
    meta: { ...meta(name), namespace },
    spec: {
      writtenKind: "handler",
      adapter,
      adapterAt: origin,
      parameters: { json: "{}", positions: {} },
    },
  }));

const anyBinding: fc.Arbitrary<Config> = fc
  .record({ name: fc.constantFrom("s1", "s2"), service: fc.constantFrom("*", ...hosts) })
  .map(({ name, service }) => ({
    kind: "QuotaSpecBinding",
    ...common,
    meta: meta(name),
    spec: { services: [service], specs: [] },
  }));

const anySettings: fc.Arbitrary<Config> = fc
  .record({
    connectTimeoutMs: fc.constantFrom(1_000, 2_000),
    egressProxyAddress: fc.constantFrom("", "egress:80", "b.default:80"),
    autoMtls: fc.boolean(),
    authPolicy: fc.constantFrom("NONE" as const, "MUTUAL_TLS" as const),
  })
  .map(({ autoMtls, authPolicy, ...some }) => ({
    kind: "MeshConfig",
    ...common,
    meta: meta("mesh"),
    spec: {
      outboundTrafficPolicy: "ALLOW_ANY",
      accessLogFile: "",
      accessLogEncoding: "TEXT",
      drainDurationMs: 1,
      pathNormalization: { normalization: "BASE", escapedSlashes: "KEEP_UNCHANGED" },
      ingress: { mode: "STRICT", class: "istio" },
      gatewayTopology: {
        ...{ numTrustedProxies: 0, forwardClientCertDetails: "SANITIZE_SET" },
        proxyProtocol: false,
      },
      identity: { trustDomain: "", trustDomainAliases: [], autoMtls, authPolicy },
      authorizers: [],
      ...some,
    },
  }));

const anyAccess: fc.Arbitrary<Config> = fc
  .record({
    kind: fc.constantFrom("PeerAuthentication" as const, "AuthorizationPolicy" as const),
    namespace: fc.constantFrom("default", "other", "istio-system"),
    version: fc.option(anyVersion, { nil: undefined }),
    mode: fc.constantFrom("UNSET" as const, "STRICT" as const, "DISABLE" as const),
  })
  .map(({ kind, namespace, version, mode }): Config => {
    const object = { ...common, meta: { ...meta(`${kind}-${version}`), namespace } };
    const selector = version !== undefined && { selector: { version } };
    if (kind === "PeerAuthentication")
      return { kind, ...object, spec: { ...selector, mode, ports: {} } };
    const principals = ["cluster.local/ns/default/sa/a"];
    const rules = [{ from: [{ principals }], to: [], when: [] }];
    const action = mode === "STRICT" ? "ALLOW" : "DENY";
    return { kind, ...object, spec: { ...selector, action, provider: "", rules } };
  });

const anyDestinationRule: fc.Arbitrary<Config> = fc
  .record({
    host: fc.constantFrom(...hosts, "*.local"),
    mode: fc.constantFrom("DISABLE" as const, "ISTIO_MUTUAL" as const, undefined),
    exportTo: fc.constantFrom([], ["other"]),
  })
  .map(({ host, mode, exportTo }) => ({
    kind: "DestinationRule",
    ...common,
    meta: meta(`dr-${host}`),
    spec: {
      ...{ host, exportTo, subsets: [] },
      ...(mode !== undefined && { trafficPolicy: { tls: { ...noTls, mode } } }),
    },
  }));

const noTls = {
  ...{ sni: "", subjectAltNames: [], caCertificates: "", clientCertificate: "", privateKey: "" },
  insecureSkipVerify: false,
};

const anyService: fc.Arbitrary<Service> = fc
  .record({
    host: anyHost,
    port: fc.constantFrom(80, 9080, undefined),
    protocol: fc.constantFrom("HTTP" as const, "HTTPS" as const, "TCP" as const),
    external: fc.boolean(),
    resolution: fc.constantFrom("STATIC" as const, "DNS" as const),
  })
  .map(({ port, protocol, ...rest }) => ({
    ...rest,
    namespace: "default",
    addresses: [],
    ports: port === undefined ? [] : [{ name: "", number: port, protocol }],
    registry: "local",
  }));

const anyInstance: fc.Arbitrary<ServiceInstance> = fc
  .record({
    host: anyHost,
    port: fc.integer({ min: 1, max: 3 }),
    servicePort: fc.constantFrom(80, 9080),
    version: anyVersion,
    healthy: fc.boolean(),
    identity: fc.constantFrom("", "spiffe://cluster.local/ns/default/sa/a"),
  })
  .map(({ version, ...rest }) => ({
    ...rest,
    address: "127.0.0.1",
    labels: { version },
    locality: "",
    weight: 1,
    workload: "",
  }));

interface Mesh {
  readonly configs: ReadonlyMap<string, Config>;
  readonly services: ReadonlyMap<string, Service>;
  readonly instances: ReadonlyMap<string, ServiceInstance>;
}

const anyConfigs = [
  ...[anyRouteRule, anyPolicy, anyEgress, anySettings, anyRule, anyHandler, anyBinding],
  ...[anyAccess, anyAccess, anyDestinationRule],
];

/** Undefined takes the thing away. */
interface Step {
  readonly field: keyof Mesh;
  readonly key: string;
  readonly value: unknown;
}

function put(field: keyof Mesh, key: string, value: unknown): Step {
  return { field, key, value };
}

function after(mesh: Mesh, { field, key, value }: Step): Mesh {
  const map = new Map<string, unknown>(mesh[field]);
  if (value === undefined) map.delete(key);
  else map.set(key, value);
  return { ...mesh, [field]: map };
}

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  fc
    .oneof(...anyConfigs)
    .chain((config) =>
      fc.boolean().map((there) => put("configs", configKey(config), there ? config : undefined)),
    ),
  anyService.chain((service) =>
    fc.boolean().map((there) => put("services", service.host, there ? service : undefined)),
  ),
  anyInstance.chain((one) =>
    fc
      .boolean()
      .map((there) => put("instances", `${one.host}:${one.port}`, there ? one : undefined)),
  ),
);

function apply(held: ProxyConfig, update: ConfigUpdate): ProxyConfig {
  const { config } = update;
  if (config === undefined) throw new Error("an update has a config");
  if (update.baseVersion === "") return config;
  expect(update.baseVersion).toBe(held.version);
  const merge = <M>(
    before: readonly M[],
    change: { changed: readonly M[]; removed: readonly string[] },
    nameOf: (one: M) => string,
  ): M[] => {
    const map = new Map(before.map((one) => [nameOf(one), one]));
    for (const name of change.removed) expect(map.delete(name)).toBe(true);
    for (const one of change.changed) map.set(nameOf(one), one);
    return [...map].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, one]) => one);
  };
  return create(ProxyConfigSchema, {
    version: config.version,
    ...(config.settings || held.settings ? { settings: (config.settings ?? held.settings)! } : {}),
    ...(config.policy || held.policy ? { policy: (config.policy ?? held.policy)! } : {}),
    ...(config.access || held.access ? { access: (config.access ?? held.access)! } : {}),
    ...(config.trust || held.trust ? { trust: (config.trust ?? held.trust)! } : {}),
    virtualHosts: merge(
      held.virtualHosts,
      { changed: config.virtualHosts, removed: update.removedVirtualHosts },
      ({ name }) => name,
    ),
    clusters: merge(
      held.clusters,
      { changed: config.clusters, removed: update.removedClusters },
      ({ name }) => name,
    ),
    endpointSets: merge(
      held.endpointSets,
      { changed: config.endpointSets, removed: update.removedEndpointSets },
      ({ cluster }) => cluster,
    ),
    tcpDestinations: merge(
      held.tcpDestinations,
      { changed: config.tcpDestinations, removed: update.removedTcpDestinations },
      ({ name }) => name,
    ),
  });
}

test("every proxy ends up with what a fresh translation gives, after any history", () => {
  fc.assert(
    fc.property(fc.array(anyStep, { minLength: 1, maxLength: 15 }), (steps) => {
      const translator = new Translator(DOMAIN);
      const held = nodes.map((): { at: Resources | undefined; config: ProxyConfig } => ({
        at: undefined,
        config: create(ProxyConfigSchema, {}),
      }));
      let mesh: Mesh = { configs: new Map(), services: new Map(), instances: new Map() };
      for (const [i, step] of steps.entries()) {
        mesh = after(mesh, step);
        const [services, instances] = [[...mesh.services.values()], [...mesh.instances.values()]];
        const rules = ruleSetOf([...mesh.configs.values()], DOMAIN);
        const trust = create(TrustBundleSchema, {
          trustDomain: "acme",
          trustDomainAliases: i % 4 < 2 ? [] : ["cluster.local"],
          rootPems: [`root ${i >> 1}`],
        });
        translator.update({ rules, catalog: new Catalog(services, instances), trust });
        for (const [n, node] of nodes.entries()) {
          const to = translator.resources(node);
          const proxy = held[n]!;
          const update = proxy.at === undefined ? wholeUpdate(to) : deltaUpdate(proxy.at, to);
          proxy.config = apply(proxy.config, update);
          proxy.at = to;
          const fresh = translateFor({ rules, services, instances, trust }, node);
          expect(toJson(ProxyConfigSchema, proxy.config)).toEqual(toJson(ProxyConfigSchema, fresh));
        }
      }
    }),
    { numRuns: 150 },
  );
});

test("a changed endpoint is sent as that endpoint set and nothing else", () => {
  const translator = new Translator(DOMAIN);
  const services: Service[] = hosts.map((host) => ({
    host,
    namespace: "default",
    addresses: [],
    ports: [{ name: "", number: 80, protocol: "HTTP" }],
    resolution: "STATIC",
    external: false,
    registry: "local",
  }));
  const instances = (port: number): ServiceInstance[] =>
    hosts.map((host, i) => ({
      host,
      address: "127.0.0.1",
      port: i === 0 ? port : 1,
      servicePort: 80,
      labels: {},
      locality: "",
      weight: 1,
      healthy: true,
      workload: "",
    }));
  const rules = ruleSetOf([], DOMAIN);
  translator.update({ rules, catalog: new Catalog(services, instances(1)) });
  const before = translator.resources(nodes[0]!);
  translator.update({ rules, catalog: new Catalog(services, instances(2)) });
  const update = deltaUpdate(before, translator.resources(nodes[0]!));
  expect(update.config?.endpointSets.map(({ cluster }) => cluster)).toEqual([
    `outbound|80||${hosts[0]}`,
  ]);
  expect(update.config?.virtualHosts).toEqual([]);
  expect(update.config?.clusters).toEqual([]);
  expect(update.config?.settings).toBeUndefined();
  expect(update.config?.policy).toBeUndefined();
});

test("a rule that begins to tell two proxies apart reaches the one that it means", () => {
  const translator = new Translator(DOMAIN);
  const services: Service[] = [
    {
      host: hosts[1]!,
      namespace: "default",
      addresses: [],
      ports: [{ name: "", number: 80, protocol: "HTTP" }],
      resolution: "STATIC",
      external: false,
      registry: "local",
    },
  ];
  const catalog = new Catalog(services, []);
  const [v1, v2] = nodes;
  const routeNames = (node: NodeView): readonly string[] =>
    translator
      .resources(node)
      .virtualHosts.flatMap(({ message }) => message.routes.map(({ name }) => name));
  translator.update({ rules: ruleSetOf([], DOMAIN), catalog });
  for (const node of [v1!, v2!]) expect(routeNames(node)).toEqual(["default-route"]);
  const rule: Config = {
    kind: "RouteRule",
    ...common,
    meta: meta("for-v1"),
    spec: {
      destination: { host: hosts[1]!, labels: {} },
      precedence: 0,
      match: { source: { host: "", labels: { version: "v1" } }, headers: {} },
      route: [],
      websocketUpgrade: false,
      timeoutMs: 0,
      appendHeaders: {},
    },
  };
  translator.update({ rules: ruleSetOf([rule], DOMAIN), catalog });
  expect(routeNames(v2!)).toEqual(["default-route"]);
  expect(routeNames(v1!)).toEqual(["default/for-v1"]);
});

test("a policy reaches those whom it is for, and nobody else", () => {
  const translator = new Translator(DOMAIN);
  const catalog = new Catalog([], []);
  const policy = (action: "ALLOW" | "DENY"): Config => ({
    kind: "AuthorizationPolicy",
    ...common,
    meta: meta("v1-only"),
    spec: { selector: { version: "v1" }, action, provider: "", rules: [] },
  });
  const versions = (...configs: readonly Config[]): readonly Resources[] => {
    translator.update({ rules: ruleSetOf(configs, DOMAIN), catalog });
    return nodes.map((node) => translator.resources(node));
  };
  const [before, allowed, denied] = [
    versions(),
    versions(policy("ALLOW")),
    versions(policy("DENY")),
  ];
  for (const [from, to] of [
    [before, allowed],
    [allowed, denied],
  ] as const)
    expect(from.map(({ version }, i) => version !== to[i]!.version)).toEqual([
      ...[true, false, false, false, false, false],
    ]);
  const { config } = deltaUpdate(before[0]!, allowed[0]!);
  expect(config?.access?.authorizationPolicies).toHaveLength(1);
  expect(config?.settings ?? config?.policy ?? config?.trust).toBeUndefined();
  // Who is told of it goes on sharing everything else.
  expect(allowed[0]!.settings).toBe(allowed[1]!.settings);
});

test("roots that come or go are sent, and nothing else", () => {
  const translator = new Translator(DOMAIN);
  const at = (root: string): Resources => {
    const trust = create(TrustBundleSchema, { trustDomain: "acme", rootPems: [root] });
    translator.update({ rules: ruleSetOf([], DOMAIN), catalog: new Catalog([], []), trust });
    return translator.resources(nodes[0]!);
  };
  const [from, same, to] = [at("a"), at("a"), at("b")];
  expect(same.version).toBe(from.version);
  const { config } = deltaUpdate(from, to);
  expect(config?.trust?.rootPems).toEqual(["b"]);
  expect(config?.access).toBeUndefined();
});

test("proxies that no rule tells apart share one translation", () => {
  const translator = new Translator(DOMAIN);
  translator.update({ rules: ruleSetOf([], DOMAIN), catalog: new Catalog([], []) });
  const [v1, v2, other] = nodes.map((node) => translator.resources(node));
  expect(v1).toBe(v2!);
  expect(other).not.toBe(v1);
});
