/**
 * When an endpoint that fails is taken out of rotation, and for how long. As Envoy does it: errors
 * in a row, base time × times ejected; each whole interval without ejection takes one off.
 */
import type { Endpoint } from "./endpoint.ts";

export interface OutlierPolicy {
  readonly consecutiveErrors: number;
  /** After which a former ejection is forgiven. */
  readonly intervalMs: number;
  readonly baseEjectionMs: number;
  /** 0..100, of the cluster's endpoints. */
  readonly maxEjectionPercent: number;
}

/** No ejection is longer, unless the base is. */
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
    Math.max(policy.baseEjectionMs, EJECTION_MS_MAX),
  );
}
