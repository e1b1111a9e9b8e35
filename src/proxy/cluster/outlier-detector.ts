/**
 * The record that a cluster keeps of its endpoints' outcomes, and the ejections that follow.
 *
 *   in rotation ── errors in a row, or a bad rate, within the maximum ──▶ ejected
 *        ▲                                                                   │
 *        └─────────────────── base × times ejected has passed ───────────────┘
 *
 * Rates are judged at the end of an interval, and an interval runs only once there are outcomes: a
 * cluster without traffic has no timer.
 */
import type { Clock } from "../../core/clock.ts";
import type { ClusterStats } from "./cluster-stats.ts";
import type { Endpoint } from "./endpoint.ts";
import {
  causeOf,
  type EjectionCause,
  ejectionMs,
  mayEject,
  type OutlierPolicy,
  rateOutliers,
} from "./outlier.ts";

export interface DetectorParts {
  readonly clock: Clock;
  readonly stats: ClusterStats;
  readonly members: () => readonly Endpoint[];
  /** Somebody was ejected, or came back. */
  readonly onChange: () => void;
}

export class OutlierDetector {
  readonly #parts: DetectorParts;
  /** Running waits for a return; called to give one up. */
  readonly #returns = new Map<Endpoint, () => void>();
  #policy: OutlierPolicy | undefined;
  #cancelSweep: (() => void) | undefined;

  constructor(parts: DetectorParts) {
    this.#parts = parts;
  }

  get ejected(): number {
    return this.#returns.size;
  }

  /** Undefined: nobody is ejected any more. The caller sees to the rotation. */
  configure(policy: OutlierPolicy | undefined): void {
    this.#policy = policy;
    if (policy === undefined) for (const endpoint of this.#returns.keys()) this.forget(endpoint);
    if (policy?.successRate === undefined && policy?.failurePercentage === undefined) this.stop();
  }

  /** A response head came. */
  answered(endpoint: Endpoint, status: number): void {
    const policy = this.#policy;
    if (policy === undefined) return;
    endpoint.consecutiveLocalFailures = 0;
    this.#count(policy, endpoint, status < 500);
    if (status < 500) {
      endpoint.consecutiveErrors = 0;
      endpoint.consecutiveGatewayErrors = 0;
      return;
    }
    endpoint.consecutiveErrors++;
    if (status >= 502 && status <= 504) endpoint.consecutiveGatewayErrors++;
    else endpoint.consecutiveGatewayErrors = 0;
    this.#judge(policy, endpoint);
  }

  /** No response: the connection was refused, reset or cut, or time ran out. */
  failedLocally(endpoint: Endpoint, timedOut: boolean): void {
    const policy = this.#policy;
    if (policy === undefined) return;
    if (policy.consecutiveLocalFailures === undefined)
      return this.answered(endpoint, timedOut ? 504 : 503);
    this.#count(policy, endpoint, false);
    endpoint.consecutiveLocalFailures++;
    this.#judge(policy, endpoint);
  }

  /** Back in rotation at once, if it was out; the caller sees to the rotation. */
  forget(endpoint: Endpoint): void {
    const cancel = this.#returns.get(endpoint);
    if (cancel === undefined) return;
    cancel();
    this.#returns.delete(endpoint);
    endpoint.ejected = false;
    endpoint.consecutiveErrors = 0;
    endpoint.consecutiveGatewayErrors = 0;
    endpoint.consecutiveLocalFailures = 0;
    endpoint.returnedMs = this.#parts.clock.nowMs();
    this.#parts.stats.series.ejectionsActive.set(this.#returns.size);
  }

  /** Ends the interval under way. */
  stop(): void {
    this.#cancelSweep?.();
    this.#cancelSweep = undefined;
  }

  #count(policy: OutlierPolicy, endpoint: Endpoint, success: boolean): void {
    if (policy.successRate === undefined && policy.failurePercentage === undefined) return;
    endpoint.outcomes++;
    if (success) endpoint.successes++;
    this.#cancelSweep ??= this.#parts.clock.after(policy.intervalMs, () => this.#sweep());
  }

  #judge(policy: OutlierPolicy, endpoint: Endpoint): void {
    if (endpoint.ejected || endpoint.removed) return;
    const cause = causeOf(policy, endpoint);
    if (cause !== undefined) this.#eject(policy, endpoint, cause);
  }

  #sweep(): void {
    this.#cancelSweep = undefined;
    const policy = this.#policy;
    const members = this.#parts.members();
    if (policy !== undefined)
      for (const { endpoint, cause } of rateOutliers(policy, members))
        this.#eject(policy, endpoint, cause);
    for (const endpoint of members) {
      endpoint.outcomes = 0;
      endpoint.successes = 0;
    }
  }

  #eject(policy: OutlierPolicy, endpoint: Endpoint, cause: EjectionCause): void {
    const { clock, stats, onChange } = this.#parts;
    if (!mayEject(policy, this.#returns.size, this.#parts.members().length))
      return stats.series.ejectionOverflow.increment();
    const ms = ejectionMs(policy, endpoint, clock.nowMs());
    endpoint.ejected = true;
    const cancel = clock.after(ms, () => {
      this.forget(endpoint);
      onChange();
    });
    this.#returns.set(endpoint, cancel);
    stats.series.ejections.increment();
    stats.ejectedBy(cause).increment();
    stats.series.ejectionsActive.set(this.#returns.size);
    onChange();
  }
}
