/**
 * How the instances of a destination are used: balancing, limits, ejection. It applies to the
 * cluster whose labels equal the destination's. Spec table: manager 1.7.
 */
import type { ServiceRef } from "./route-rule.ts";

export type LoadBalancing = "ROUND_ROBIN" | "LEAST_CONN" | "RANDOM";

export interface DestinationPolicy {
  readonly destination: ServiceRef;
  readonly source?: ServiceRef;
  readonly loadBalancing?: LoadBalancing;
  readonly circuitBreaker?: CircuitBreaker;
  /** Further policies of the same document: in Istio 0.1 one for each set of labels. */
  readonly others?: readonly DestinationPolicy[];
}

/** A document's policies, each for one set of labels. */
export function policiesOf(policy: DestinationPolicy): readonly DestinationPolicy[] {
  return [policy, ...(policy.others ?? [])];
}

export interface CircuitBreaker {
  readonly maxConnections?: number;
  readonly httpMaxPendingRequests?: number;
  readonly httpMaxRequests?: number;
  readonly httpMaxRequestsPerConnection?: number;
  readonly httpMaxRetries?: number;
  readonly httpConsecutiveErrors: number;
  readonly httpDetectionIntervalMs: number;
  readonly sleepWindowMs: number;
  readonly httpMaxEjectionPercent: number;
}
