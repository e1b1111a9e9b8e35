/** A cluster of the configuration and its endpoint set ─▶ settings and endpoints of a Cluster. */
import {
  type CircuitBreaker,
  Cluster_Discovery,
  Cluster_Protocol,
  type Cluster as ClusterResource,
  type EndpointLimits,
  type EndpointSet,
  type OutlierDetection,
  type RetryBudget,
} from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import type { ClusterSettings } from "../cluster/cluster.ts";
import { type EndpointMaxima, type Maxima, UNLIMITED } from "../cluster/limits.ts";
import type { EndpointSpec } from "../cluster/membership.ts";
import type { OutlierPolicy } from "../cluster/outlier.ts";
import type { RetryBudgetPolicy } from "../cluster/retry-budget.ts";
import { compileBalancing, compileHash, loadBalancerOf } from "./compile-balancing.ts";
import { compileHealthCheck } from "./compile-health-check.ts";
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
    maxima: maximaOf(resource.circuitBreaker, problems.at("circuit_breaker")),
    outlier: outlierOf(resource.outlier, problems.at("outlier")),
    ...compileBalancing(resource.balancing, problems.at("balancing")),
    ...compileHash(resource.hash, problems),
    ...compileHealthCheck(resource.healthCheck, problems.at("health_check")),
    ...(resource.requiresIdentity && { requiresIdentity: true }),
    ...(resource.viaEgressProxy && { viaEgressProxy: true }),
    origins: resource.origins.map(formatOrigin),
  };
}

export function compileEndpoints(
  set: EndpointSet | undefined,
  problems: ProblemList,
): readonly EndpointSpec[] {
  const specs: EndpointSpec[] = [];
  for (const [i, endpoint] of (set?.endpoints ?? []).entries()) {
    const { address, port, labels, workload, locality, meshTransport, identity } = endpoint;
    const weight = Math.max(1, endpoint.weight);
    if (address === "") problems.at(`endpoints[${i}].address`).add("an endpoint has an address");
    if (port < 1 || port > 65_535)
      problems.at(`endpoints[${i}].port`).add(`${port} is not a port (1 to 65535)`);
    specs.push({ address, port, labels, weight, workload, locality, meshTransport, identity });
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

function maximaOf(breaker: CircuitBreaker | undefined, problems: ProblemList): Maxima {
  const { perEndpoint, retryBudget } = breaker ?? {};
  return {
    connections: breaker?.maxConnections ?? UNLIMITED,
    pending: breaker?.maxPendingRequests ?? UNLIMITED,
    requests: breaker?.maxRequests ?? UNLIMITED,
    retries: breaker?.maxRetries ?? UNLIMITED,
    // 0 is what its authors wrote for "no limit".
    requestsPerConnection: breaker?.maxRequestsPerConnection || UNLIMITED,
    ...(perEndpoint !== undefined && { perEndpoint: endpointMaximaOf(perEndpoint) }),
    ...(retryBudget !== undefined && {
      retryBudget: retryBudgetOf(retryBudget, problems.at("retry_budget")),
    }),
  };
}

function endpointMaximaOf(limits: EndpointLimits): EndpointMaxima {
  return {
    connections: limits.maxConnections ?? UNLIMITED,
    pending: limits.maxPendingRequests ?? UNLIMITED,
    requests: limits.maxRequests ?? UNLIMITED,
    retries: limits.maxRetries ?? UNLIMITED,
  };
}

/** GEP-3388's for the interval, Envoy's for what is under way. */
function retryBudgetOf(budget: RetryBudget, problems: ProblemList): RetryBudgetPolicy {
  const { percent = 20, intervalMs, minPerSecond = 10, minConcurrent = 3 } = budget;
  if (!(percent >= 0 && percent <= 100)) problems.at("percent").add(`${percent} is not 0 to 100`);
  if (!(minPerSecond >= 0)) problems.at("min_per_second").add(`${minPerSecond} is below 0`);
  return { percent, intervalMs, minPerSecond, minConcurrent };
}

function outlierOf(
  outlier: OutlierDetection | undefined,
  problems: ProblemList,
): OutlierPolicy | undefined {
  if (outlier === undefined) return undefined;
  if (outlier.maxEjectionPercent > 100)
    problems.at("max_ejection_percent").add(`${outlier.maxEjectionPercent} is above 100`);
  const { consecutiveErrors, consecutiveErrorsOff, consecutiveGatewayErrors } = outlier;
  const { splitLocalFailures, consecutiveLocalFailures, maxEjectionMs } = outlier;
  return {
    consecutiveErrors: consecutiveErrorsOff
      ? 0
      : consecutiveErrors || defaultOutlier.consecutiveErrors,
    intervalMs: outlier.intervalMs || defaultOutlier.intervalMs,
    baseEjectionMs: outlier.baseEjectionMs || defaultOutlier.baseEjectionMs,
    maxEjectionPercent: outlier.maxEjectionPercent,
    ...(consecutiveGatewayErrors > 0 && { consecutiveGatewayErrors }),
    ...(splitLocalFailures && { consecutiveLocalFailures: consecutiveLocalFailures || 5 }),
    ...(maxEjectionMs > 0 && { maxEjectionMs }),
    ...ratesOf(outlier, problems),
  };
}

/** Envoy's defaults, for fields that are 0. */
function ratesOf(
  { successRate, failurePercentage }: OutlierDetection,
  problems: ProblemList,
): Pick<OutlierPolicy, "successRate" | "failurePercentage"> {
  const percent = failurePercentage?.percent || 85;
  if (percent > 100) problems.at("failure_percentage.percent").add(`${percent} is above 100`);
  return {
    ...(successRate !== undefined && {
      successRate: {
        endpointsMin: successRate.endpointsMin || 5,
        volumeMin: successRate.volumeMin || 100,
        stdevFactor: successRate.stdevFactor || 1.9,
      },
    }),
    ...(failurePercentage !== undefined && {
      failurePercentage: {
        endpointsMin: failurePercentage.endpointsMin || 5,
        volumeMin: failurePercentage.volumeMin || 50,
        percent,
      },
    }),
  };
}
