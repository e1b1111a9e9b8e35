/**
 * Our configuration in the words of Envoy's v1 format, and how far it means the same as a recorded
 * one. Clusters are named `host|port|labels`; the originals by host, port name and labels, or by
 * the SHA-1 of that.
 */
import type { ProxyConfig } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { HostTable } from "../../proxy/route/host-table.ts";
import { routeInV1, type V1Route } from "./manager-envoy-route.ts";
import type { MockRegistry } from "./manager-vectors.ts";

export interface Answer {
  readonly node: string;
  /** The route table: a port, or "http_proxy" for all. */
  readonly routes: string;
}

export interface V1VirtualHost {
  readonly name: string;
  readonly domains: readonly string[];
  readonly routes: readonly V1Route[];
}

export interface V1Cluster {
  readonly name: string;
  readonly service_name?: string;
  readonly type: string;
  readonly lb_type: string;
  readonly hosts?: readonly { readonly url: string }[];
  readonly ssl_context?: object;
  readonly max_requests_per_connection?: number;
  readonly circuit_breakers?: { readonly default?: Readonly<Record<string, number>> };
  readonly outlier_detection?: Readonly<Record<string, number>>;
}

interface FaultConfig {
  readonly abort?: { readonly abort_percent: number; readonly http_status: number };
  readonly delay?: { readonly fixed_delay_percent: number; readonly fixed_duration_ms: number };
  readonly headers?: readonly object[];
  readonly upstream_cluster: string;
}

export interface Listener {
  readonly address: string;
  readonly filters: readonly {
    readonly config?: { readonly filters?: readonly { name: string; config: FaultConfig }[] };
  }[];
}

export interface Golden {
  readonly era: "0.1" | "0.3" | "0.8";
  readonly config: ProxyConfig;
  readonly registry: MockRegistry;
  /** Clusters that the proxy had besides those that it discovered. */
  readonly inFiles: readonly V1Cluster[];
  /** What differs on purpose, collected on the way. */
  readonly departures: Set<string>;
}

const reasons = {
  resolved:
    "no endpoint of an external service is ever found; by cds.json of discovery_v1_istio-0.8.0 " +
    "the proxy resolves its name",
  followed: "what is found by name is followed before a route leads there (manager 10, 4)",
};

export function compareHosts(
  hosts: readonly V1VirtualHost[],
  table: string,
  golden: Golden,
): readonly string[] {
  const differences: string[] = [];
  const wanted = new Set<string>();
  const listenerPort = table === "http_proxy" ? 80 : Number(table);
  for (const host of hosts) {
    const key = keyOfHost(host.name, golden);
    if (key === undefined) {
      differences.push(`no service of ${host.name} is known`);
      continue;
    }
    const name = `${key.host}:${key.port}`;
    wanted.add(name);
    const ours = golden.config.virtualHosts.find((one) => one.name === name);
    if (ours === undefined) differences.push(`no virtual host ${name}`);
    else
      differences.push(
        ...compareDomains(host, ours, listenerPort, golden),
        ...compareRoutes(
          host,
          ours.routes.filter((route) => !isTunnel(route)).map((route) => routeInV1(route)),
          golden,
        ),
      );
  }
  // Ports that are not HTTP had listeners of their own, and no virtual hosts; ours have tunnels.
  const extra = golden.config.virtualHosts
    .filter(({ routes }) => !routes.every(isTunnel))
    .map(({ name }) => name)
    .filter((name) => table === "http_proxy" || name.endsWith(`:${table}`))
    .filter((name) => !wanted.has(name));
  return [...differences, ...extra.map((name) => `a virtual host ${name} too many`)];
}

/** "world|http", or "*.example.com:80" of an egress rule. */
function keyOfHost(name: string, { registry }: Golden) {
  const ways = ["HTTP", "HTTP2", "GRPC", "HTTPS"].map((protocol) =>
    name.replace(/:(\d+)$/, `|external-${protocol}-$1`),
  );
  return [name, ...ways].map((way) => registry.keyOf(way)).find((key) => key !== undefined);
}

function isTunnel({ name }: { readonly name: string }): boolean {
  return name === "tunnel";
}

/**
 * Each recorded domain leads to our virtual host, for a connection to the port whose table it is
 * in: there a name without port means that port. And ours has no name that was not recorded, with
 * its port at least: an only HTTP port has the bare name too.
 */
function compareDomains(
  { name, domains }: V1VirtualHost,
  ours: OurVirtualHost,
  listenerPort: number,
  { config }: Golden,
): readonly string[] {
  const table = new HostTable(
    config.virtualHosts.flatMap((one) => one.domains.map((domain) => ({ domain, value: one }))),
  );
  const lost = domains.filter((domain) => {
    const bytes = encoder.encode(domain);
    return table.find(bytes, 0, bytes.length, listenerPort) !== ours;
  });
  const extra = ours.domains.filter(
    (domain) => !domains.includes(domain) && !domains.includes(`${domain}:${portOf(ours)}`),
  );
  return [
    ...lost.map((domain) => `${domain} of ${name} does not lead to ${ours.name}`),
    ...extra.map((domain) => `a domain ${domain} of ${name} too many`),
  ];
}

function portOf({ name }: OurVirtualHost): string {
  return name.slice(name.lastIndexOf(":") + 1);
}

export function compareRoutes(
  host: V1VirtualHost,
  ours: readonly V1Route[],
  golden: Golden,
): readonly string[] {
  const wanted = host.routes.map((route) => normal(route, golden));
  const given = ours.map((route) => aligned(route, golden));
  if (wanted.length !== given.length) return differ(`routes of ${host.name}`, wanted, given);
  return wanted.flatMap((route, i) => differ(`route ${i} of ${host.name}`, route, given[i]));
}

/** A recorded route without what belongs to the mixer, its clusters by our names. */
function normal(route: V1Route, golden: Golden): V1Route {
  const { opaque_config: _, decorator: __, cluster, weighted_clusters: many, ...rest } = route;
  const clusters =
    many?.clusters.map(({ name, weight }) => ({ name: golden.registry.nameOf(name), weight })) ??
    (cluster === undefined ? undefined : [{ name: golden.registry.nameOf(cluster), weight: 100 }]);
  const { timeout_ms: timeout = 0, headers = [], retry_policy: retry, ...others } = rest;
  return {
    ...others,
    ...(others.shadow && { shadow: { cluster: golden.registry.nameOf(others.shadow.cluster) } }),
    ...(others.cors && { cors: normalCors(others.cors) }),
    headers: headers.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    timeout_ms: timeout,
    ...(retry && { retry_policy: { ...retry, retry_on: "as rules say" } }),
    ...(clusters && { weighted_clusters: { clusters } }),
  };
}

function normalCors(cors: NonNullable<V1Route["cors"]>): NonNullable<V1Route["cors"]> {
  const { enabled: _, ...rest } = cors;
  const list = (value: unknown) => String(value ?? "").split(/[, ]+/);
  return {
    ...rest,
    allow_methods: list(cors.allow_methods),
    allow_headers: list(cors.allow_headers),
    expose_headers: list(cors.expose_headers),
    allow_credentials: String(cors.allow_credentials ?? false) === "true",
    ...(cors.max_age !== undefined && { max_age: Number(cors.max_age) }),
  };
}

/** Ours, with what only we add taken for granted, and listed as a departure. */
function aligned(route: V1Route, golden: Golden): V1Route {
  const { retry_policy: retry, timeout_ms: timeout = 0, ...rest } = route;
  const added = retry?.retry_on === "connect-failure,refused-stream";
  if (added) golden.departures.add("requests never processed are tried again (manager 8, 9)");
  const byDefault = timeout === 15_000;
  if (byDefault && golden.era !== "0.1")
    golden.departures.add("rules without a timeout wait 15 s, as the manual says (manager 1.3)");
  return {
    ...rest,
    ...(rest.cors && { cors: normalCors(rest.cors) }),
    timeout_ms: byDefault ? 0 : timeout,
    ...(retry && !added && { retry_policy: { ...retry, retry_on: "as rules say" } }),
  };
}

export function compareClusters(clusters: readonly V1Cluster[], golden: Golden): readonly string[] {
  const wanted = new Set(golden.inFiles.map(({ name }) => golden.registry.nameOf(name)));
  const differences = clusters
    .filter(({ name }) => name.startsWith("out."))
    .flatMap((cluster) => {
      const key = golden.registry.keyOf(cluster.service_name ?? cluster.name.slice(4));
      if (key === undefined) return [`no service of ${cluster.name} is known`];
      wanted.add(key.name);
      // Of a port of HTTPS there are two: for requests, and for TLS that passes as it is.
      const named = golden.config.clusters.filter(
        (one) => golden.registry.ourName(one) === key.name,
      );
      const isSecure = cluster.ssl_context !== undefined;
      const ours = named.find(({ tls }) => (tls !== undefined) === isSecure) ?? named[0];
      if (ours === undefined) return [`no cluster ${key.name}`];
      return differ(
        `cluster ${key.name}`,
        clusterWanted(cluster, golden),
        clusterInV1(ours, cluster.hosts && golden.config),
      );
    });
  const extra = golden.config.clusters
    .filter((one) => !wanted.has(golden.registry.ourName(one)))
    .filter((one) => !isSpare(one, golden));
  return [...differences, ...extra.map(({ name }) => `a cluster ${name} too many`)];
}

/** All instances of a port whose addresses are names. */
function isSpare({ labels, discovery }: OurCluster, { departures }: Golden): boolean {
  if (Object.keys(labels).length > 0 || types[discovery] !== "strict_dns") return false;
  departures.add(reasons.followed);
  return true;
}

function clusterWanted(cluster: V1Cluster, golden: Golden) {
  const key = golden.registry.keyOf(cluster.service_name ?? cluster.name.slice(4));
  const external = key !== undefined && golden.registry.isExternal(key.host);
  if (external && cluster.type !== "strict_dns") golden.departures.add(reasons.resolved);
  return {
    type: external ? "strict_dns" : cluster.type,
    secure: cluster.ssl_context !== undefined,
    hosts: cluster.hosts?.map(({ url }) => url),
    lb_type: cluster.type === "original_dst" ? undefined : cluster.lb_type,
    max_requests_per_connection: cluster.max_requests_per_connection,
    limits: cluster.circuit_breakers && { ...envoyDefaults, ...cluster.circuit_breakers.default },
    outlier: cluster.outlier_detection,
  };
}

/** What Envoy did with limits that were not given. */
const envoyDefaults = {
  max_connections: 1_024,
  max_pending_requests: 1_024,
  max_requests: 1_024,
  max_retries: 3,
};

type OurCluster = ProxyConfig["clusters"][number];
type OurVirtualHost = ProxyConfig["virtualHosts"][number];

const encoder = new TextEncoder();

const types = ["", "sds", "strict_dns", "original_dst"];
/** What nobody named was round robin then, and is the proxy's own default now. */
const balancers = ["round_robin", "round_robin", "random", "least_request"];

/** `hosts`: where its endpoints are, if they are to be compared. */
function clusterInV1(cluster: OurCluster, hosts: ProxyConfig | undefined) {
  const { name, discovery, loadBalancer, circuitBreaker, outlier } = cluster;
  const endpoints = hosts?.endpointSets.find((set) => set.cluster === name)?.endpoints;
  return {
    type: types[discovery],
    secure: cluster.tls !== undefined,
    hosts: endpoints?.map(({ address, port }) => `tcp://${address}:${port}`),
    lb_type: types[discovery] === "original_dst" ? undefined : balancers[loadBalancer],
    max_requests_per_connection: circuitBreaker?.maxRequestsPerConnection,
    limits: circuitBreaker && {
      max_connections: circuitBreaker.maxConnections,
      max_pending_requests: circuitBreaker.maxPendingRequests,
      max_requests: circuitBreaker.maxRequests,
      max_retries: circuitBreaker.maxRetries,
    },
    outlier: outlier && {
      consecutive_5xx: outlier.consecutiveErrors,
      interval_ms: outlier.intervalMs,
      base_ejection_time_ms: outlier.baseEjectionMs,
      max_ejection_percent: outlier.maxEjectionPercent,
    },
  };
}

/** Each recorded fault of an outbound listener is one of ours, on a route to the same cluster. */
export function compareFaults(listeners: readonly Listener[], golden: Golden): readonly string[] {
  golden.departures.add("of listeners only the faults are compared; the rest: not there yet");
  const wanted = listeners
    .filter(({ address }) => address.startsWith("tcp://0.0.0.0:"))
    .flatMap(({ filters }) => filters.flatMap(({ config }) => config?.filters ?? []))
    .filter(({ name }) => name === "fault")
    .map(({ config }) => ({
      cluster: golden.registry.nameOf(config.upstream_cluster),
      headers: config.headers ?? [],
      delay: [config.delay?.fixed_delay_percent ?? 0, config.delay?.fixed_duration_ms ?? 0],
      abort: [config.abort?.abort_percent ?? 0, config.abort?.http_status ?? 0],
    }));
  const given = golden.config.virtualHosts.flatMap(({ routes }) =>
    routes.flatMap((route) => {
      const { fault } = route;
      if (fault === undefined) return [];
      const { headers, weighted_clusters: to } = routeInV1(route);
      return (to?.clusters ?? []).map(({ name }) => ({
        cluster: name,
        headers,
        delay: [fault.delayPercent, fault.delayMs],
        abort: [fault.abortPercent, fault.abortStatus],
      }));
    }),
  );
  const sorted = (list: readonly object[]) => list.map((one) => JSON.stringify(one)).toSorted();
  return differ("faults", sorted(wanted), sorted(given));
}

function differ(what: string, wanted: unknown, given: unknown): readonly string[] {
  if (Bun.deepEquals(prune(wanted), prune(given))) return [];
  return [`${what}: ${JSON.stringify(given)}, not ${JSON.stringify(wanted)}`];
}

/** As JSON: undefined is absent. */
function prune(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value ?? null));
}
