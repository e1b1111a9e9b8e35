/**
 * How a host's instances are used, as later releases say it: for all of them, for a subset, for one
 * port. Spec table: manager 1.14. What is absent was not written, or
 * was the zero that says nothing.
 */
import type { ClientTlsSettings } from "./client-tls.ts";
import type { HealthCheckSettings } from "./health-check.ts";

export interface DestinationRule {
  /** Full, in lower case; may be "*.example.com". */
  readonly host: string;
  readonly trafficPolicy?: TrafficPolicy;
  readonly subsets: readonly Subset[];
  /** Namespaces whose proxies obey: "." is its own, "*" all. Empty: all. */
  readonly exportTo: readonly string[];
  /** Labels of the callers in its namespace that obey; absent: all. */
  readonly workloadSelector?: Readonly<Record<string, string>>;
}

export interface Subset {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Field by field before that of the rule. */
  readonly trafficPolicy?: TrafficPolicy;
}

export interface TrafficPolicy extends PortPolicy {
  readonly retryBudget?: RetryBudget;
  /** Says who called before the first byte of each connection that is passed on as it is. */
  readonly proxyProtocol?: "V1" | "V2";
  /** For these ports instead of the rest, not beside it. */
  readonly portLevelSettings?: readonly (PortPolicy & { readonly port: number })[];
}

export interface PortPolicy {
  readonly loadBalancer?: LoadBalancerSettings;
  readonly connectionPool?: ConnectionPool;
  readonly outlierDetection?: OutlierSettings;
  readonly tls?: ClientTlsSettings;
  readonly healthCheck?: HealthCheckSettings;
}

export interface LoadBalancerSettings {
  readonly simple?: "LEAST_REQUEST" | "RANDOM" | "ROUND_ROBIN";
  readonly consistentHash?: ConsistentHash;
  readonly locality?: LocalitySetting;
  readonly warmup?: Warmup;
}

export interface ConsistentHash {
  readonly httpHeaderName?: string;
  readonly httpCookie?: HashCookie;
  readonly useSourceIp?: boolean;
  readonly httpQueryParameterName?: string;
  /** Absent: a ring of the usual size. */
  readonly minimumRingSize?: number;
  /** Of Maglev, instead of a ring; 0: the usual size. */
  readonly maglevTableSize?: number;
}

export interface HashCookie {
  readonly name: string;
  readonly path: string;
  /** Absent: the proxy issues none. */
  readonly ttlMs?: number;
  readonly attributes: readonly { readonly name: string; readonly value: string }[];
}

export interface LocalitySetting {
  readonly enabled: boolean;
  readonly failover: readonly { readonly from: string; readonly to: string }[];
  readonly distribute: readonly {
    readonly from: string;
    readonly to: Readonly<Record<string, number>>;
  }[];
}

export interface Warmup {
  readonly durationMs: number;
  readonly minimumPercent: number;
  readonly aggression: number;
}

export interface ConnectionPool {
  readonly maxConnections?: number;
  readonly connectTimeoutMs?: number;
  readonly http1MaxPendingRequests?: number;
  readonly http2MaxRequests?: number;
  readonly maxRequestsPerConnection?: number;
  readonly maxRetries?: number;
}

export interface OutlierSettings {
  /** 0: off. */
  readonly consecutive5xxErrors: number;
  readonly consecutiveGatewayErrors: number;
  readonly splitExternalLocalOriginErrors: boolean;
  readonly consecutiveLocalOriginFailures: number;
  readonly intervalMs: number;
  readonly baseEjectionMs: number;
  readonly maxEjectionPercent: number;
  /** With a smaller part healthy, all are used. */
  readonly minHealthPercent: number;
}

export interface RetryBudget {
  readonly percent: number;
  readonly minRetryConcurrency: number;
  /** 0: of what is under way. */
  readonly budgetIntervalMs: number;
}
