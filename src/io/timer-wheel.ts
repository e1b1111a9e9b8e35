/**
 * Many coarse timers for the price of one. Entries are embedded in their owners and linked into the
 * slots of a hierarchical wheel; to arm, re-arm and disarm allocate nothing and take constant time.
 *
 * Lazy: a deadline that moves later, or goes away, leaves the entry where it is; the slot sorts it
 * out when its time comes. So an idle limit that every request pushes back costs one number store.
 * A timer never expires early, and at most one tick late (later only if the loop was stalled).
 */
import type { Clock } from "../core/clock.ts";

/** One timer of one owner: extend it and say what to do, or hold one as a field. */
export abstract class Timer {
  /** For the wheel: when to expire, in its clock's milliseconds; 0: not armed. */
  deadlineMs = 0;
  next: Timer | undefined = undefined;
  previous: Timer | undefined = undefined;
  slot = -1;

  abstract expire(): void;

  get armed(): boolean {
    return this.deadlineMs !== 0;
  }
}

export class TimerWheel {
  readonly #clock: Clock;
  readonly #tickMs: number;

  constructor(clock: Clock, tickMs = 10) {
    this.#clock = clock;
    this.#tickMs = tickMs;
  }

  get tickMs(): number {
    return this.#tickMs;
  }

  /** Expires `ms` from now; replaces the timer's former deadline. */
  arm(timer: Timer, ms: number): void {
    this.armAt(timer, this.#clock.nowMs() + ms);
  }

  /** As arm, for callers that know the time already. */
  armAt(timer: Timer, deadlineMs: number): void {
    timer.deadlineMs = deadlineMs;
  }

  /** Will not expire; cheap, for timers that will be armed again. */
  disarm(timer: Timer): void {
    timer.deadlineMs = 0;
  }

  /** As disarm, and the wheel keeps no reference: for an owner that goes away. */
  release(timer: Timer): void {
    timer.deadlineMs = 0;
  }
}
