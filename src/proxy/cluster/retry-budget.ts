/**
 * How many retries a cluster may have, in proportion to its traffic: a fixed number is too small
 * for a busy service and large enough to double the load of a failing quiet one.
 *
 * With an interval: retries of the last interval are at most `percent` of its first tries, or
 * `minPerSecond` on average if that is more (Gateway API GEP-3388, linkerd). Without: retries under
 * way are at most `percent` of requests under way, or `minConcurrent` if that is more (Envoy).
 */
import type { Clock } from "../../core/clock.ts";

export interface RetryBudgetPolicy {
  /** 0..100 */
  readonly percent: number;
  /** 0: of what is under way. */
  readonly intervalMs: number;
  /** With an interval. */
  readonly minPerSecond: number;
  /** Without. */
  readonly minConcurrent: number;
}

/** The interval moves in steps of its tenth. */
const SLOTS = 10;

/** First tries and retries of the last interval; belongs to the name of a cluster. */
export class RetryWindow {
  readonly #clock: Clock;
  readonly #tries = new Float64Array(SLOTS);
  readonly #retries = new Float64Array(SLOTS);
  #slotMs = 0;
  #slot = 0;
  triesTotal = 0;
  retriesTotal = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** To be called before totals are read. Another interval begins from nothing. */
  advance(intervalMs: number): void {
    const slotMs = intervalMs / SLOTS;
    if (slotMs !== this.#slotMs) {
      this.#slotMs = slotMs;
      this.#clear(SLOTS);
      this.#slot = Math.floor(this.#clock.nowMs() / slotMs);
      return;
    }
    const slot = Math.floor(this.#clock.nowMs() / slotMs);
    const steps = Math.min(SLOTS, slot - this.#slot);
    this.#slot = slot;
    if (steps > 0) this.#clear(steps);
  }

  tried(): void {
    this.#tries[this.#slot % SLOTS]!++;
    this.triesTotal++;
  }

  retried(): void {
    this.#retries[this.#slot % SLOTS]!++;
    this.retriesTotal++;
  }

  /** Forgets what the last `steps` slots up to the present one held an interval ago. */
  #clear(steps: number): void {
    for (let i = 0; i < steps; i++) {
      const at = (this.#slot - i + SLOTS) % SLOTS;
      this.triesTotal -= this.#tries[at]!;
      this.retriesTotal -= this.#retries[at]!;
      this.#tries[at] = 0;
      this.#retries[at] = 0;
    }
  }
}

/** Whether one more retry is within the budget; `window` has advanced. */
export function isWithinBudget(
  policy: RetryBudgetPolicy,
  window: RetryWindow,
  active: { readonly requests: number; readonly retries: number },
): boolean {
  const { percent, intervalMs, minPerSecond, minConcurrent } = policy;
  if (intervalMs === 0)
    return active.retries < Math.max(minConcurrent, (active.requests * percent) / 100);
  const first = Math.max(0, window.triesTotal - window.retriesTotal);
  const allowed = Math.max((first * percent) / 100, (minPerSecond * intervalMs) / 1_000);
  return window.retriesTotal < allowed;
}
