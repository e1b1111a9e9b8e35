/**
 * Many causes, one effect: runs once things have been quiet for `quietMs`, or `latestMs` after the
 * first cause, whichever is sooner.
 */
import type { Clock } from "../core/clock.ts";

export interface DebounceOptions {
  readonly clock: Clock;
  readonly quietMs: number;
  readonly latestMs: number;
  readonly run: () => void;
}

export class Debounce {
  readonly #options: DebounceOptions;
  #cancel: (() => void) | undefined;
  #firstMs = 0;

  constructor(options: DebounceOptions) {
    this.#options = options;
  }

  cause(): void {
    const { clock, quietMs, latestMs } = this.#options;
    const now = clock.nowMs();
    if (this.#cancel === undefined) this.#firstMs = now;
    this.#cancel?.();
    const waitMs = Math.max(0, Math.min(quietMs, this.#firstMs + latestMs - now));
    this.#cancel = clock.after(waitMs, () => this.flush());
  }

  /** Runs now what is waiting. */
  flush(): void {
    if (this.#cancel === undefined) return;
    this.close();
    this.#options.run();
  }

  /** Drops what is waiting. */
  close(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
