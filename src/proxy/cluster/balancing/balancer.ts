/**
 * What every way of choosing among equals has in common. A Balancer is given the endpoints of one
 * rotation with their weights, and then asked for one, once a try: without allocation, and without
 * looking anything up by name. Health, priorities and limits are LoadBalancer's, above it.
 */
import type { Random } from "../../../core/random.ts";
import type { Endpoint } from "../endpoint.ts";

export type LoadBalancerKind =
  | "round-robin"
  | "random"
  | "least-request"
  | "peak-ewma"
  | "ring-hash"
  | "maglev";

/** For `pick`: the request has nothing to be hashed by. */
export const NO_HASH = -1;

export interface Balancer {
  /** Other endpoints, or other weights. `weights[i]` is of `endpoints[i]`, above 0. */
  rotate(endpoints: readonly Endpoint[], weights: Float64Array): void;
  /**
   * One of the endpoints; undefined if there is none. A balancer by hash takes another than `avoid`
   * if there is one, and needs no hash where it is NO_HASH; the others may return `avoid`.
   */
  pick(avoid: Endpoint | undefined, hash: number): Endpoint | undefined;
}

export function areEqual(weights: Float64Array): boolean {
  for (let i = 1; i < weights.length; i++) if (weights[i] !== weights[0]) return false;
  return true;
}

/** A whole number in [0, count). */
export function below(count: number, random: Random): number {
  return Math.floor(random() * count);
}
