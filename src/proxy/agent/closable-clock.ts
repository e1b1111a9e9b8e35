/**
 * A clock whose timers all end at once, so that a sidecar that has ended leaves nothing behind for
 * which its process would wait: the data plane's timer wheel is lazy, and wakes for what is over.
 */
import type { Clock } from "../../core/clock.ts";

export class ClosableClock implements Clock {
  readonly #clock: Clock;
  readonly #cancels = new Set<() => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  nowMs(): number {
    return this.#clock.nowMs();
  }

  wallMs(): number {
    return this.#clock.wallMs();
  }

  after(ms: number, callback: () => void): () => void {
    const cancelTimer = this.#clock.after(ms, () => {
      this.#cancels.delete(cancel);
      callback();
    });
    const cancel = (): void => {
      this.#cancels.delete(cancel);
      cancelTimer();
    };
    this.#cancels.add(cancel);
    return cancel;
  }

  /** No callback comes any more. */
  close(): void {
    for (const cancel of [...this.#cancels]) cancel();
  }
}
