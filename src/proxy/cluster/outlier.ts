/**
 * When an endpoint that fails is taken out of rotation, and for how long. As Envoy does it: errors
 * in a row, or a rate far from that of the others; base time × times ejected; each whole interval
 * without ejection takes one off. outlier-detector.ts keeps the record.
 */
import type { Endpoint } from "./endpoint.ts";

export interface OutlierPolicy {
  /** Answers of 5xx in a row, and unless they are split failed connections too; 0: off. */
  readonly consecutiveErrors: number;
  /** Of 502, 503 and 504 alone; absent: off. */
  readonly consecutiveGatewayErrors?: number;
  /** Connections refused, reset or timed out, counted by themselves; absent: they count as 5xx. */
  readonly consecutiveLocalFailures?: number;
  /** After which a former ejection is forgiven; and over which rates are taken. */
  readonly intervalMs: number;
  readonly baseEjectionMs: number;
  /** Unless the base is longer; 300 s unless told. */
  readonly maxEjectionMs?: number;
  /** 0..100, of the cluster's endpoints. */
  readonly maxEjectionPercent: number;
  readonly successRate?: SuccessRatePolicy;
  readonly failurePercentage?: FailurePercentagePolicy;
}

/** Ejects whose rate of successes is below mean - factor × standard deviation. */
export interface SuccessRatePolicy extends RateBasis {
  readonly stdevFactor: number;
}

export interface FailurePercentagePolicy extends RateBasis {
  /** 0..100: at this percentage of failures and above. */
  readonly percent: number;
}

/** When there is enough to judge by. */
export interface RateBasis {
  /** Endpoints with the volume. */
  readonly endpointsMin: number;
  /** Outcomes of one endpoint in one interval. */
  readonly volumeMin: number;
}

/** As in Envoy's names of counters. */
export type EjectionCause =
  | "consecutive_5xx"
  | "consecutive_gateway_failure"
  | "consecutive_local_origin_failure"
  | "success_rate"
  | "failure_percentage";

const EJECTION_MS_MAX = 300_000;

/**
 * Whether one more may go. Any percentage above 0 allows one, since in a cluster of three a limit
 * of 10 % would allow none.
 */
export function mayEject(policy: OutlierPolicy, ejected: number, members: number): boolean {
  if (policy.maxEjectionPercent === 0) return false;
  return ejected === 0 || (ejected + 1) * 100 <= policy.maxEjectionPercent * members;
}

/** The duration of the ejection that begins now; counts it. */
export function ejectionMs(policy: OutlierPolicy, endpoint: Endpoint, nowMs: number): number {
  if (endpoint.timesEjected > 0) {
    const quiet = Math.floor((nowMs - endpoint.returnedMs) / policy.intervalMs);
    endpoint.timesEjected = Math.max(0, endpoint.timesEjected - quiet);
  }
  endpoint.timesEjected++;
  return Math.min(
    policy.baseEjectionMs * endpoint.timesEjected,
    Math.max(policy.baseEjectionMs, policy.maxEjectionMs ?? EJECTION_MS_MAX),
  );
}

/** Which row of errors is too long now; undefined: none. */
export function causeOf(policy: OutlierPolicy, endpoint: Endpoint): EjectionCause | undefined {
  const { consecutiveErrors, consecutiveGatewayErrors, consecutiveLocalFailures } = policy;
  if (isReached(endpoint.consecutiveErrors, consecutiveErrors)) return "consecutive_5xx";
  if (isReached(endpoint.consecutiveGatewayErrors, consecutiveGatewayErrors))
    return "consecutive_gateway_failure";
  if (isReached(endpoint.consecutiveLocalFailures, consecutiveLocalFailures))
    return "consecutive_local_origin_failure";
  return undefined;
}

function isReached(count: number, limit: number | undefined): boolean {
  return limit !== undefined && limit > 0 && count >= limit;
}

export interface RateOutlier {
  readonly endpoint: Endpoint;
  readonly cause: EjectionCause;
}

/** Who is far off, by the outcomes of the interval that ends; the worst first. */
export function rateOutliers(
  policy: OutlierPolicy,
  endpoints: readonly Endpoint[],
): readonly RateOutlier[] {
  const { successRate, failurePercentage } = policy;
  const found = new Map<Endpoint, EjectionCause>();
  const judged = (basis: RateBasis): readonly Endpoint[] => {
    const enough = endpoints.filter(
      ({ outcomes, ejected }) => !ejected && outcomes > 0 && outcomes >= basis.volumeMin,
    );
    return enough.length < basis.endpointsMin ? [] : enough;
  };
  if (successRate !== undefined) {
    const candidates = judged(successRate);
    const least = leastRate(candidates.map(rateOf), successRate.stdevFactor);
    for (const endpoint of candidates)
      if (rateOf(endpoint) < least) found.set(endpoint, "success_rate");
  }
  if (failurePercentage !== undefined)
    for (const endpoint of judged(failurePercentage))
      if (100 - rateOf(endpoint) >= failurePercentage.percent && !found.has(endpoint))
        found.set(endpoint, "failure_percentage");
  return Array.from(found, ([endpoint, cause]) => ({ endpoint, cause })).sort(
    (a, b) => rateOf(a.endpoint) - rateOf(b.endpoint),
  );
}

/** 0..100 */
function rateOf({ outcomes, successes }: Endpoint): number {
  return (100 * successes) / outcomes;
}

function leastRate(rates: readonly number[], stdevFactor: number): number {
  if (rates.length === 0) return 0;
  const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
  const variance = rates.reduce((sum, rate) => sum + (rate - mean) ** 2, 0) / rates.length;
  return mean - stdevFactor * Math.sqrt(variance);
}
