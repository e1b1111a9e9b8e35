/** A proxy's configuration as tables: routes in order of evaluation, clusters, endpoints. */
import {
  type CircuitBreaker,
  type Cluster,
  LoadBalancer,
  type OutlierDetection,
  type ProxyConfig,
  type Route,
  type RouteMatch,
  type StringMatch,
  type TcpDestination,
  type TcpRoute,
  type VirtualHost,
  type WeightedCluster,
} from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { sourceText } from "./document.ts";
import { shortHost } from "./rule-summary.ts";
import { labelsText } from "./table.ts";

export interface Table {
  readonly title: string;
  readonly headers: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export function routesTable(config: ProxyConfig, wide: boolean): Table {
  const hosts = [...config.virtualHosts].sort((a, b) => (a.name < b.name ? -1 : 1));
  const rows = hosts.flatMap((host) =>
    host.routes.map((route, i) => [
      i === 0 ? shortVirtualHost(host) : "",
      String(i + 1),
      matchText(route.match),
      actionText(route),
      route.name || "-",
      sourceText(route.origin) || "-",
      ...(wide ? [i === 0 ? host.domains.join(", ") : ""] : []),
    ]),
  );
  const headers = ["HOST", "#", "MATCH", "ACTION", "RULE", "ORIGIN"];
  return { title: "Routes", headers: wide ? [...headers, "DOMAINS"] : headers, rows };
}

/** Of connections that are passed on as they are; undefined: there are none. */
export function tcpRoutesTable(config: ProxyConfig): Table | undefined {
  if (config.tcpDestinations.length === 0) return undefined;
  const destinations = [...config.tcpDestinations].sort((a, b) => (a.name < b.name ? -1 : 1));
  const rows = destinations.flatMap((destination) =>
    destination.routes.map((route, i) => [
      i === 0 ? shortVirtualHost(destination) : "",
      String(i + 1),
      connectionText(destination, route),
      clustersText(route.clusters),
      route.name || "-",
      sourceText(route.origin) || "-",
    ]),
  );
  return {
    title: "TCP routes",
    headers: ["DESTINATION", "#", "MATCH", "ACTION", "RULE", "ORIGIN"],
    rows,
  };
}

function connectionText(
  { port, addresses, serverNames }: TcpDestination,
  { destinationSubnets, sourceSubnets }: TcpRoute,
): string {
  const parts: string[] = [];
  if (addresses.length > 0) parts.push(`to ${addresses.join(", ")}`);
  parts.push(port === 0 ? "any port" : `port ${port}`);
  if (serverNames.length > 0) parts.push(`TLS for ${serverNames.join(", ")}`);
  if (destinationSubnets.length > 0) parts.push(`to ${destinationSubnets.join(", ")}`);
  if (sourceSubnets.length > 0) parts.push(`from ${sourceSubnets.join(", ")}`);
  return parts.join(" and ");
}

function clustersText(clusters: readonly WeightedCluster[]): string {
  if (clusters.length === 1) return clusterText(clusters[0]!.cluster);
  return clusters.map(({ cluster, weight }) => `${clusterText(cluster)} ${weight}%`).join(" | ");
}

export function clustersTable(config: ProxyConfig): Table {
  const counts = new Map(config.endpointSets.map((set) => [set.cluster, set.endpoints.length]));
  const clusters = [...config.clusters].sort((a, b) =>
    clusterOrder(a) < clusterOrder(b) ? -1 : 1,
  );
  const rows = clusters.map((cluster) => [
    shortHost(cluster.service) || cluster.name,
    cluster.port === 0 ? "-" : String(cluster.port),
    labelsText(cluster.labels),
    balancers[cluster.loadBalancer],
    String(counts.get(cluster.name) ?? 0),
    limitsText(cluster),
    cluster.origins.map(sourceText).filter(Boolean).join(", ") || "-",
  ]);
  const headers = ["SERVICE", "PORT", "SUBSET", "BALANCER", "ENDPOINTS", "LIMITS", "ORIGIN"];
  return { title: "Clusters", headers, rows };
}

export function endpointsTable(config: ProxyConfig): Table {
  const clusters = new Map(config.clusters.map((cluster) => [cluster.name, cluster]));
  const sets = [...config.endpointSets].sort((a, b) => (a.cluster < b.cluster ? -1 : 1));
  const rows = sets.flatMap((set) => {
    const cluster = clusters.get(set.cluster);
    const service = shortHost(cluster?.service ?? "") || set.cluster;
    return set.endpoints.map((endpoint) => [
      cluster === undefined ? service : `${service}:${cluster.port}`,
      labelsText(cluster?.labels ?? {}),
      `${endpoint.address}:${endpoint.port}`,
      labelsText(endpoint.labels),
      String(endpoint.weight || 1),
      endpoint.workload || "-",
    ]);
  });
  const headers = ["SERVICE", "SUBSET", "ADDRESS", "LABELS", "WEIGHT", "WORKLOAD"];
  return { title: "Endpoints", headers, rows };
}

function clusterOrder({ service, port, name }: Cluster): string {
  return `${service} ${String(port).padStart(5, "0")} ${name}`;
}

const balancers: Readonly<Record<LoadBalancer, string>> = {
  [LoadBalancer.UNSPECIFIED]: "least request",
  [LoadBalancer.ROUND_ROBIN]: "round robin",
  [LoadBalancer.RANDOM]: "random",
  [LoadBalancer.LEAST_REQUEST]: "least request",
  [LoadBalancer.PEAK_EWMA]: "peak ewma",
  [LoadBalancer.RING_HASH]: "ring hash",
  [LoadBalancer.MAGLEV]: "maglev",
};

function shortVirtualHost({ name }: Pick<VirtualHost, "name">): string {
  return name.replace(/\.svc\.cluster\.local/, "");
}

function matchText(match: RouteMatch | undefined): string {
  const parts: string[] = [];
  if (match?.path !== undefined) parts.push(`path${stringText(match.path)}`);
  if (match?.method !== undefined) parts.push(`method${stringText(match.method)}`);
  if (match?.scheme !== undefined) parts.push(`scheme${stringText(match.scheme)}`);
  if (match?.authority !== undefined) parts.push(`authority${stringText(match.authority)}`);
  for (const { name, value, invert } of match?.headers ?? [])
    parts.push(`${invert ? "not " : ""}${name}${stringText(value)}`);
  for (const { name, value, invert } of match?.queryParams ?? [])
    parts.push(`${invert ? "not " : ""}?${name}${stringText(value)}`);
  return parts.length === 0 ? "everything" : parts.join(" and ");
}

function stringText(match: StringMatch | undefined): string {
  const kind = match?.kind;
  switch (kind?.case) {
    case "exact":
      return `=${kind.value}`;
    case "prefix":
      return `=${kind.value}*`;
    case "regex":
      return `~${kind.value}`;
    case "segmentPrefix":
      return `=${kind.value}/*`;
    default:
      return " present";
  }
}

function actionText(route: Route): string {
  const parts = [targetText(route)];
  const { rewrite, retry, fault, mirror } = route;
  if (rewrite !== undefined) parts.push(`rewrite ${rewrite.authority}${rewrite.uri}`);
  if (fault !== undefined && fault.delayPercent > 0)
    parts.push(`delay ${fault.delayMs} ms for ${fault.delayPercent}%`);
  if (fault !== undefined && fault.abortPercent > 0)
    parts.push(`abort ${fault.abortStatus} for ${fault.abortPercent}%`);
  if (mirror !== undefined) parts.push(`mirror to ${clusterText(mirror.cluster)}`);
  if (retry !== undefined && retry.attempts > 0) parts.push(`${retry.attempts} retries`);
  if (route.timeoutMs > 0) parts.push(`timeout ${route.timeoutMs / 1000} s`);
  return parts.join(", ");
}

function targetText({ action }: Route): string {
  switch (action.case) {
    case "forward":
      return clustersText(action.value.clusters);
    case "redirect":
      return `redirect ${action.value.code} to ${action.value.authority}${action.value.uri}`;
    case "direct":
      return `answer ${action.value.status}`;
    default:
      return "-";
  }
}

/** "reviews.default:9080[version=v1]" of "outbound|9080|version=v1|reviews.default.svc.…". */
export function clusterText(name: string): string {
  const [, port, labels, host] = name.split("|");
  if (host === undefined) return name;
  return `${shortHost(host)}:${port}${labels === "" ? "" : `[${labels}]`}`;
}

function limitsText({ circuitBreaker, outlier }: Cluster): string {
  const limits = [...breakerTexts(circuitBreaker), ...outlierTexts(outlier)];
  return limits.length === 0 ? "-" : limits.join(", ");
}

function breakerTexts(breaker: CircuitBreaker | undefined): string[] {
  if (breaker === undefined) return [];
  const limits: readonly (readonly [number | undefined, string])[] = [
    [breaker.maxConnections, "connections"],
    [breaker.maxPendingRequests, "pending"],
    [breaker.maxRequests, "requests"],
    [breaker.maxRequestsPerConnection, "requests a connection"],
    [breaker.maxRetries, "retries"],
  ];
  return limits.flatMap(([limit, what]) => (limit === undefined ? [] : [`${limit} ${what}`]));
}

function outlierTexts(outlier: OutlierDetection | undefined): string[] {
  if (outlier === undefined) return [];
  return [`eject after ${outlier.consecutiveErrors} errors`];
}
