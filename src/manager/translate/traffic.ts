/**
 * What a DestinationRule says of one cluster: which rule it is, and its policy in the words of a
 * proxy's configuration. Spec table: manager 1.14.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type BalancingSchema,
  type CircuitBreakerSchema,
  type ClusterSchema,
  type HashRuleSchema,
  LoadBalancer,
  type OutlierDetectionSchema,
} from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import type { ClientTlsSettings } from "../../model/client-tls.ts";
import type { ConfigOf } from "../../model/config.ts";
import type {
  ConnectionPool,
  ConsistentHash,
  DestinationRule,
  HashCookie,
  LoadBalancerSettings,
  OutlierSettings,
  RetryBudget,
  TrafficPolicy,
} from "../../model/destination-rule.ts";
import { isHostWithin } from "../../model/host-name.ts";
import type { ServiceRef } from "../../model/route-rule.ts";
import { healthCheckOf } from "./health-check.ts";
import { equalLabels } from "./labels.ts";
import type { RuleSet } from "./rule-set.ts";
import { isSource, type NodeView } from "./source.ts";

type RuleConfig = ConfigOf<"DestinationRule">;
type ClusterInit = MessageInitShape<typeof ClusterSchema>;

/** As cluster.ts has it. */
interface Key extends ServiceRef {
  readonly port: number;
}

export interface Traffic {
  readonly config: RuleConfig;
  readonly cluster: ClusterInit;
  /** Undefined: it says nothing of TLS. */
  readonly tls: ClientTlsSettings | undefined;
  /** The version of the PROXY protocol; 0: none. */
  readonly proxyProtocol: 0 | 1 | 2;
}

/** Undefined: no rule is for this cluster and caller. */
export function trafficOf(key: Key, rules: RuleSet, node: NodeView): Traffic | undefined {
  const [first, ...others] = rulesFor(key, rules, node);
  if (first === undefined) return undefined;
  // Several rules of one host and namespace are one: its subsets may be anybody's.
  const owner =
    [first, ...others].find(({ spec }) =>
      spec.subsets.some(({ labels }) => equalLabels(labels, key.labels)),
    ) ?? first;
  const policy = policyFor({ ...first.spec, subsets: owner.spec.subsets }, key);
  const { loadBalancer = {}, connectionPool, outlierDetection, retryBudget, tls } = policy;
  const { healthCheck } = policy;
  return {
    config: owner,
    tls,
    proxyProtocol: versions[policy.proxyProtocol ?? "none"],
    cluster: {
      loadBalancer: kindOf(loadBalancer),
      ...(loadBalancer.consistentHash && { hash: hashOf(loadBalancer.consistentHash) }),
      balancing: balancingOf(loadBalancer, outlierDetection),
      ...(connectionPool?.connectTimeoutMs && {
        connectTimeoutMs: connectionPool.connectTimeoutMs,
      }),
      circuitBreaker: breakerOf(connectionPool ?? {}, retryBudget),
      ...(outlierDetection && { outlier: outlierOf(outlierDetection) }),
      ...(healthCheck && { healthCheck: healthCheckOf(healthCheck) }),
    },
  };
}

const versions = { none: 0, V1: 1, V2: 2 } as const;

/** A subset's policy goes before the rule's, by field; a port's replaces what ports may say. */
function policyFor(
  { trafficPolicy, subsets }: DestinationRule,
  { labels, port }: Key,
): Omit<TrafficPolicy, "portLevelSettings"> {
  const subset = subsets.find((one) => equalLabels(one.labels, labels));
  const merged: TrafficPolicy = { ...trafficPolicy, ...subset?.trafficPolicy };
  const own = merged.portLevelSettings?.find((one) => one.port === port);
  if (own === undefined) return merged;
  const { retryBudget, proxyProtocol } = merged;
  return {
    ...own,
    ...(retryBudget !== undefined && { retryBudget }),
    ...(proxyProtocol !== undefined && { proxyProtocol }),
  };
}

/** Of the caller's namespace before the service's before others; the narrowest host. */
function rulesFor(key: Key, rules: RuleSet, node: NodeView): readonly RuleConfig[] {
  const hosts = [...rules.destinationRules.keys()].filter((host) => isHostWithin(key.host, host));
  const home = namespaceOf(key.host);
  const rank = ({ meta: { namespace } }: RuleConfig): number =>
    namespace === node.namespace ? 0 : namespace === home ? 1 : 2;
  const found = hosts
    .flatMap((host) => rules.destinationRules.get(host) ?? [])
    .filter((config) => isVisible(config, node))
    .sort((a, b) => rank(a) - rank(b) || narrowness(b.spec.host) - narrowness(a.spec.host));
  const [best] = found;
  return found.filter(
    (one) => one.spec.host === best!.spec.host && one.meta.namespace === best!.meta.namespace,
  );
}

function isVisible({ spec, meta }: RuleConfig, node: NodeView): boolean {
  const { exportTo, workloadSelector } = spec;
  const isOwn = meta.namespace === node.namespace;
  if (workloadSelector !== undefined)
    return isOwn && isSource({ host: "", labels: workloadSelector }, node);
  if (exportTo.length === 0 || exportTo.includes("*")) return true;
  return (exportTo.includes(".") && isOwn) || exportTo.includes(node.namespace);
}

/** An exact name is narrower than every pattern. */
function narrowness(host: string): number {
  return host.startsWith("*") ? host.length : 1_000;
}

function namespaceOf(host: string): string {
  const parts = host.split(".");
  return parts[2] === "svc" ? parts[1]! : "";
}

function kindOf({ simple, consistentHash }: LoadBalancerSettings): LoadBalancer {
  if (consistentHash?.maglevTableSize !== undefined) return LoadBalancer.MAGLEV;
  if (consistentHash !== undefined) return LoadBalancer.RING_HASH;
  return simple === undefined ? LoadBalancer.UNSPECIFIED : LoadBalancer[simple];
}

function hashOf(hash: ConsistentHash): MessageInitShape<typeof HashRuleSchema>[] {
  const { httpHeaderName, httpCookie, httpQueryParameterName, useSourceIp } = hash;
  if (httpHeaderName !== undefined) return [{ by: { case: "header", value: httpHeaderName } }];
  if (httpCookie !== undefined) return [{ by: { case: "cookie", value: cookieOf(httpCookie) } }];
  if (httpQueryParameterName !== undefined)
    return [{ by: { case: "query", value: httpQueryParameterName } }];
  return useSourceIp ? [{ by: { case: "source", value: true } }] : [];
}

function cookieOf({ name, path, ttlMs, attributes }: HashCookie) {
  return {
    name,
    path,
    // A part of a second is not "for the session".
    ...(ttlMs !== undefined && { ttlSeconds: Math.ceil(ttlMs / 1_000) }),
    attributes: attributes.map(({ name: key, value }) => (value === "" ? key : `${key}=${value}`)),
  };
}

function balancingOf(
  { consistentHash, locality, warmup }: LoadBalancerSettings,
  outlier: OutlierSettings | undefined,
): MessageInitShape<typeof BalancingSchema> {
  // As in Istio: nearest first wants ejection, since it is ejection that makes others take over.
  const places = locality ?? { enabled: true, failover: [], distribute: [] };
  const near = places.enabled && (outlier !== undefined || places.distribute.length > 0);
  return {
    ...(outlier && { panicPercent: outlier.minHealthPercent }),
    ...(warmup && {
      slowStart: {
        windowMs: warmup.durationMs,
        aggression: warmup.aggression,
        minPercent: Math.round(warmup.minimumPercent),
      },
    }),
    ringSizeMin: consistentHash?.minimumRingSize ?? 0,
    maglevSize: consistentHash?.maglevTableSize ?? 0,
    ...(near && {
      locality: {
        failover: places.failover.map(({ from, to }) => ({ from, to })),
        distribute: places.distribute.map(({ from, to }) => ({ from, to })),
      },
    }),
  };
}

function breakerOf(
  pool: ConnectionPool,
  budget: RetryBudget | undefined,
): MessageInitShape<typeof CircuitBreakerSchema> {
  const { maxConnections, http1MaxPendingRequests, http2MaxRequests } = pool;
  const { maxRequestsPerConnection, maxRetries } = pool;
  return {
    ...(maxConnections !== undefined && { maxConnections }),
    ...(http1MaxPendingRequests !== undefined && { maxPendingRequests: http1MaxPendingRequests }),
    ...(http2MaxRequests !== undefined && { maxRequests: http2MaxRequests }),
    ...(maxRequestsPerConnection !== undefined && { maxRequestsPerConnection }),
    ...(maxRetries !== undefined && { maxRetries }),
    ...(budget && { retryBudget: budgetOf(budget) }),
  };
}

/** The least that is always allowed is of what is under way, or of one interval. */
function budgetOf({ percent, minRetryConcurrency, budgetIntervalMs }: RetryBudget) {
  const minPerSecond = (minRetryConcurrency * 1_000) / budgetIntervalMs;
  return {
    percent,
    intervalMs: budgetIntervalMs,
    minConcurrent: minRetryConcurrency,
    ...(budgetIntervalMs > 0 && { minPerSecond }),
  };
}

function outlierOf(outlier: OutlierSettings): MessageInitShape<typeof OutlierDetectionSchema> {
  return {
    consecutiveErrors: outlier.consecutive5xxErrors,
    consecutiveErrorsOff: outlier.consecutive5xxErrors === 0,
    consecutiveGatewayErrors: outlier.consecutiveGatewayErrors,
    splitLocalFailures: outlier.splitExternalLocalOriginErrors,
    consecutiveLocalFailures: outlier.splitExternalLocalOriginErrors
      ? outlier.consecutiveLocalOriginFailures
      : 0,
    intervalMs: outlier.intervalMs,
    baseEjectionMs: outlier.baseEjectionMs,
    maxEjectionPercent: outlier.maxEjectionPercent,
  };
}
