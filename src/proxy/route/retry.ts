/**
 * When a failed try is worth another one: the conditions of a route's retry policy, a set of bits.
 * As with Envoy, 5xx includes every failure that would end as a 5xx of our own. Whether the
 * request can be sent again at all (method, body) is the data plane's to know.
 */
import { type Failure, Failures } from "../../core/failure.ts";

export const RetryOn = {
  serverError: 1,
  connectFailure: 2,
  refusedStream: 4,
  reset: 8,
  gatewayError: 16,
  idempotentReset: 32,
  cancelled: 64,
  deadlineExceeded: 128,
  internal: 256,
  resourceExhausted: 512,
  unavailable: 1024,
} as const;

/** By code of gRPC: the condition that it meets. */
const ofCode: Readonly<Record<number, number>> = {
  1: RetryOn.cancelled,
  4: RetryOn.deadlineExceeded,
  8: RetryOn.resourceExhausted,
  13: RetryOn.internal,
  14: RetryOn.unavailable,
};

export interface RetryPolicy {
  /** Tries after the first. */
  readonly attempts: number;
  /** 0: the route's timeout alone. */
  readonly perTryTimeoutMs: number;
  /** Sum of RetryOn. */
  readonly on: number;
  /** Base of the jittered exponential backoff (core/backoff.ts). */
  readonly backoffMs: number;
  /** Whether a try goes on beside the next one when its time has passed: which methods. */
  readonly hedge?: "idempotent" | "all";
}

/** Whether a response with this status is to be dropped and tried again. */
export function retriesStatus(policy: RetryPolicy, status: number): boolean {
  if (status < 500 || status > 599) return false;
  if ((policy.on & RetryOn.serverError) !== 0) return true;
  return (policy.on & RetryOn.gatewayError) !== 0 && status >= 502 && status <= 504;
}

/**
 * Whether a call that ended with this code, and nothing before it, is to be tried again; `on`: sum
 * of RetryOn. What ended without an answer of the upstream meets the other conditions only.
 */
export function retriesCode(on: number, code: number): boolean {
  return (on & (ofCode[code] ?? 0)) !== 0;
}

/** A stream that its peer refused was reset too. */
function refusals(failure: Failure): number {
  if (failure !== Failures.upstreamUnprocessed) return RetryOn.reset;
  return RetryOn.reset | RetryOn.refusedStream;
}

/** Whether a try that ended without a response is to be tried again. */
export function retriesFailure(policy: RetryPolicy, failure: Failure): boolean {
  if (failure.origin !== "upstream") return false;
  if ((policy.on & RetryOn.serverError) !== 0) return true;
  switch (failure.flag) {
    case "UF":
      return (policy.on & RetryOn.connectFailure) !== 0;
    case "UC":
      return (policy.on & RetryOn.reset) !== 0;
    case "UR":
      return (policy.on & refusals(failure)) !== 0;
    case "UT":
    case "UPE":
      return (policy.on & RetryOn.gatewayError) !== 0;
    default:
      return false;
  }
}
