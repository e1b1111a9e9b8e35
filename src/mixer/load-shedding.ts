/**
 * Refuses work that would make everybody late: too many a second, or answers that take too long
 * while there is much to do. Spec table: mixer 8.
 *
 *   admit(cost) ─▶ go on, and tell `took` afterwards
 *                  else: why not ("rate", "latency"), counted; refused where it is enforced
 */
import type { Clock } from "../core/clock.ts";
import type { Counter, Metrics } from "../telemetry/metrics.ts";

export type SheddingMode = "disabled" | "logonly" | "enforce";

export interface SheddingOptions {
  readonly mode: SheddingMode;
  /** Above it work is refused; 0: never for this. */
  readonly averageLatencyMs: number;
  /** So much a second there must be before latency counts. */
  readonly latencyEnforcementRate: number;
  readonly latencyHalfLifeMs: number;
  /** 0: no limit. A report costs as many as it has entries. */
  readonly requestsPerSecond: number;
  /** So many at once. */
  readonly burst: number;
}

type Reason = "rate" | "latency";

export class LoadShedding {
  readonly #options: SheddingOptions;
  readonly #clock: Clock;
  readonly #refused: Readonly<Record<Reason, Counter>>;
  readonly #cost: Counter;
  readonly #onRefused: (reason: Reason) => void;
  #tokens: number;
  #tokensAtMs: number;
  /** Sums that halve with time: of latencies, of how many they were, and of admitted costs. */
  #latencyMs = 0;
  #answers = 0;
  #load = 0;
  #decayedAtMs: number;

  constructor(
    options: SheddingOptions,
    clock: Clock,
    metrics: Metrics,
    onRefused: (reason: Reason) => void = () => {},
  ) {
    this.#options = options;
    this.#clock = clock;
    this.#onRefused = onRefused;
    const help = "Calls that were refused, or would have been, because of overload.";
    const refused = (reason: Reason): Counter =>
      metrics.counter("mixer_loadshedding_requests_throttled_total", help, { reason });
    this.#refused = { rate: refused("rate"), latency: refused("latency") };
    this.#cost = metrics.counter(
      "mixer_loadshedding_predicted_cost_shed_total",
      "Checks and entries of reports in those calls.",
    );
    this.#tokens = options.burst;
    this.#tokensAtMs = clock.nowMs();
    this.#decayedAtMs = clock.nowMs();
  }

  /** True: go on. */
  admit(cost: number): boolean {
    const { mode } = this.#options;
    if (mode === "disabled") return true;
    const reason = this.#excess(cost);
    if (reason === undefined) return true;
    this.#refused[reason].increment();
    this.#cost.add(cost);
    this.#onRefused(reason);
    return mode === "logonly";
  }

  /** What was admitted is answered. */
  took(ms: number): void {
    this.#decay();
    this.#latencyMs += ms;
    this.#answers++;
  }

  #excess(cost: number): Reason | undefined {
    this.#decay();
    const { averageLatencyMs, latencyEnforcementRate, requestsPerSecond } = this.#options;
    const rate = (this.#load * Math.LN2 * 1_000) / this.#options.latencyHalfLifeMs;
    const isLate = averageLatencyMs > 0 && this.#latencyMs > averageLatencyMs * this.#answers;
    if (isLate && rate >= latencyEnforcementRate) return "latency";
    if (requestsPerSecond > 0 && !this.#spend(cost)) return "rate";
    this.#load += cost;
    return undefined;
  }

  /** What costs more than a whole burst passes when nothing else was there, and is paid off. */
  #spend(cost: number): boolean {
    const { requestsPerSecond, burst } = this.#options;
    const nowMs = this.#clock.nowMs();
    const gained = ((nowMs - this.#tokensAtMs) * requestsPerSecond) / 1_000;
    this.#tokens = Math.min(burst, this.#tokens + gained);
    this.#tokensAtMs = nowMs;
    if (this.#tokens < Math.min(cost, burst)) return false;
    this.#tokens -= cost;
    return true;
  }

  /** While work is refused the rate falls, until some is tried again. */
  #decay(): void {
    const nowMs = this.#clock.nowMs();
    const share = 0.5 ** ((nowMs - this.#decayedAtMs) / this.#options.latencyHalfLifeMs);
    this.#latencyMs *= share;
    this.#answers *= share;
    this.#load *= share;
    this.#decayedAtMs = nowMs;
  }
}
