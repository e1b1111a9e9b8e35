/**
 * The cheaper of two taken by chance, where the cost of an endpoint is what linkerd's proxy takes:
 *
 *   cost = max(rtt × (active + 1), penalty)
 *
 * `rtt` is a moving average of times to a response head that jumps up to a peak at once and comes
 * down slowly: a slow endpoint is believed, a fast one has to prove it. `penalty` is set by 429 and
 * 5xx, which are often faster than answers. Both decay by exp(-t / decay), so whoever is avoided is
 * tried again in the end; one that nobody has measured yet begins as slow, with `defaultRttMs`.
 */
import type { Clock } from "../../../core/clock.ts";
import type { Random } from "../../../core/random.ts";
import type { Endpoint } from "../endpoint.ts";
import { AliasTable } from "./alias-table.ts";
import { areEqual, type Balancer, below } from "./balancer.ts";
import { type SlowStart, warmth } from "./slow-start.ts";

export interface EwmaPolicy {
  readonly defaultRttMs: number;
  readonly decayMs: number;
  /** What a failure costs at first. */
  readonly penaltyMs: number;
}

/** A server's wish to be left alone is honoured up to here. */
const HINT_MS_MAX = 300_000;

/** At the end of a wait that a server asked for, this part of the penalty is left. */
const HINT_PENALTY = 0.5;

export class PeakEwma implements Balancer {
  readonly #random: Random;
  readonly #clock: Clock;
  readonly #policy: EwmaPolicy;
  readonly #slowStart: SlowStart | undefined;
  #endpoints: readonly Endpoint[] = [];
  #table: AliasTable | undefined;

  constructor(random: Random, clock: Clock, policy: EwmaPolicy, slowStart: SlowStart | undefined) {
    this.#random = random;
    this.#clock = clock;
    this.#policy = policy;
    this.#slowStart = slowStart;
  }

  rotate(endpoints: readonly Endpoint[], weights: Float64Array): void {
    this.#endpoints = endpoints;
    this.#table = areEqual(weights) ? undefined : new AliasTable(weights);
  }

  pick(): Endpoint | undefined {
    const endpoints = this.#endpoints;
    const count = endpoints.length;
    if (count < 2) return endpoints[0];
    const first = this.#any(count);
    let second = this.#any(count);
    if (second === first) second = first + 1 === count ? 0 : first + 1;
    const a = endpoints[first]!;
    const b = endpoints[second]!;
    const nowMs = this.#clock.nowMs();
    return this.#cost(b, nowMs) < this.#cost(a, nowMs) ? b : a;
  }

  #any(count: number): number {
    return this.#table === undefined ? below(count, this.#random) : this.#table.pick(this.#random);
  }

  #cost(endpoint: Endpoint, nowMs: number): number {
    const cost = costOf(endpoint, this.#policy, nowMs);
    return this.#slowStart === undefined ? cost : cost / warmth(endpoint, this.#slowStart, nowMs);
  }
}

/** Milliseconds that one more exchange is expected to cost there. */
export function costOf(endpoint: Endpoint, policy: EwmaPolicy, nowMs: number): number {
  const { rttMs, rttAtMs, penaltyMs, penaltyAtMs, active } = endpoint;
  const { decayMs, defaultRttMs } = policy;
  const rtt = (rttMs < 0 ? defaultRttMs : rttMs) * Math.exp((rttAtMs - nowMs) / decayMs);
  const load = rtt * (active + 1);
  if (penaltyMs === 0) return load;
  return Math.max(load, penaltyMs * Math.exp((penaltyAtMs - nowMs) / decayMs));
}

/** A response head came after `rttMs`. */
export function observeRtt(
  endpoint: Endpoint,
  rttMs: number,
  policy: EwmaPolicy,
  nowMs: number,
): void {
  const kept = Math.exp((endpoint.rttAtMs - nowMs) / policy.decayMs);
  const former = endpoint.rttMs < 0 ? policy.defaultRttMs : endpoint.rttMs;
  endpoint.rttMs = rttMs >= former ? rttMs : former * kept + rttMs * (1 - kept);
  endpoint.rttAtMs = nowMs;
}

/**
 * It refused or failed. `waitMs` is how long it asked to be left alone (Retry-After,
 * grpc-retry-pushback-ms), 0: not at all. The penalty is such that about half of it is left then.
 */
export function penalize(
  endpoint: Endpoint,
  waitMs: number,
  policy: EwmaPolicy,
  nowMs: number,
): void {
  const wait = Math.min(waitMs, HINT_MS_MAX);
  const hinted = policy.penaltyMs * HINT_PENALTY * Math.exp(wait / policy.decayMs);
  const left = endpoint.penaltyMs * Math.exp((endpoint.penaltyAtMs - nowMs) / policy.decayMs);
  endpoint.penaltyMs = Math.max(policy.penaltyMs, wait === 0 ? 0 : hinted, left);
  endpoint.penaltyAtMs = nowMs;
}
