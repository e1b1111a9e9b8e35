/** A cluster of the configuration and its endpoint set ─▶ settings and endpoints of a Cluster. */
import {
  type CircuitBreaker,
  Cluster_Discovery,
  Cluster_Protocol,
  type Cluster as ClusterResource,
  type EndpointSet,
  LoadBalancer,
  type OutlierDetection,
} from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import type { ClusterSettings } from "../cluster/cluster.ts";
import { type Maxima, UNLIMITED } from "../cluster/limits.ts";
import type { EndpointSpec } from "../cluster/membership.ts";
import type { OutlierPolicy } from "../cluster/outlier.ts";
import { formatOrigin, type ProblemList } from "./problem-list.ts";

export const CONNECT_TIMEOUT_MS = 10_000;
/** Envoy's, for fields that are 0. */
const defaultOutlier = { consecutiveErrors: 5, intervalMs: 10_000, baseEjectionMs: 30_000 };

/** `connectTimeoutMs`: the mesh's, for clusters that have none of their own; 0: the default. */
export function compileClusterSettings(
  resource: ClusterResource,
  connectTimeoutMs: number,
  problems: ProblemList,
): ClusterSettings {
  if (resource.name === "") problems.add("a cluster has a name");
  return {
    name: resource.name,
    service: resource.service,
    port: resource.port,
    labels: resource.labels,
    discovery: discoveryOf(resource.discovery),
    protocol: protocolOf(resource.protocol),
    loadBalancer: loadBalancerOf(resource.loadBalancer),
    connectTimeoutMs: resource.connectTimeoutMs || connectTimeoutMs || CONNECT_TIMEOUT_MS,
    maxima: maximaOf(resource.circuitBreaker),
    outlier: outlierOf(resource.outlier, problems.at("outlier")),
    origins: resource.origins.map(formatOrigin),
  };
}

export function compileEndpoints(
  set: EndpointSet | undefined,
  problems: ProblemList,
): readonly EndpointSpec[] {
  const specs: EndpointSpec[] = [];
  for (const [i, endpoint] of (set?.endpoints ?? []).entries()) {
    const { address, port, labels, workload, locality, meshTransport } = endpoint;
    const weight = Math.max(1, endpoint.weight);
    if (address === "") problems.at(`endpoints[${i}].address`).add("an endpoint has an address");
    if (port < 1 || port > 65_535)
      problems.at(`endpoints[${i}].port`).add(`${port} is not a port (1 to 65535)`);
    specs.push({ address, port, labels, weight, workload, locality, meshTransport });
  }
  return specs;
}

function protocolOf(protocol: Cluster_Protocol): ClusterSettings["protocol"] {
  if (protocol === Cluster_Protocol.TCP) return "tcp";
  return protocol === Cluster_Protocol.HTTP2 ? "http2" : "http";
}

function discoveryOf(discovery: Cluster_Discovery): ClusterSettings["discovery"] {
  if (discovery === Cluster_Discovery.DNS) return "dns";
  return discovery === Cluster_Discovery.ORIGINAL ? "original" : "endpoints";
}

function loadBalancerOf(loadBalancer: LoadBalancer): ClusterSettings["loadBalancer"] {
  if (loadBalancer === LoadBalancer.RANDOM) return "random";
  return loadBalancer === LoadBalancer.LEAST_REQUEST ? "least-request" : "round-robin";
}

function maximaOf(breaker: CircuitBreaker | undefined): Maxima {
  return {
    connections: breaker?.maxConnections ?? UNLIMITED,
    pending: breaker?.maxPendingRequests ?? UNLIMITED,
    requests: breaker?.maxRequests ?? UNLIMITED,
    retries: breaker?.maxRetries ?? UNLIMITED,
    // 0 is what its authors wrote for "no limit".
    requestsPerConnection: breaker?.maxRequestsPerConnection || UNLIMITED,
  };
}

function outlierOf(
  outlier: OutlierDetection | undefined,
  problems: ProblemList,
): OutlierPolicy | undefined {
  if (outlier === undefined) return undefined;
  if (outlier.maxEjectionPercent > 100)
    problems.at("max_ejection_percent").add(`${outlier.maxEjectionPercent} is above 100`);
  return {
    consecutiveErrors: outlier.consecutiveErrors || defaultOutlier.consecutiveErrors,
    intervalMs: outlier.intervalMs || defaultOutlier.intervalMs,
    baseEjectionMs: outlier.baseEjectionMs || defaultOutlier.baseEjectionMs,
    maxEjectionPercent: outlier.maxEjectionPercent,
  };
}
