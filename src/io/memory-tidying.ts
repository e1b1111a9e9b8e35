/**
 * Memory after changes of configuration, which leave much garbage and are followed by traffic that
 * makes next to none: the collector, who goes by what is allocated, would leave it there for hours.
 *
 *   change ─▶ settled for a while ─▶ collect, and give pages back
 *   change, change, change … ──────▶ collect, every half minute (of a manager: every 10 s)
 *
 * A collection holds everything up for some 20 ms (80,000 objects; more where others want the
 * processor). Bun.gc(false) does not, and gives nothing back: it looks at young objects alone.
 */
import type { Clock } from "../core/clock.ts";
import { collectGarbage, giveMemoryBack } from "./resident-memory.ts";

/** Changes come in bursts. */
export const SETTLED_MS = 2_000;
export const UNSETTLED_MS = 30_000;
/** For a process that holds no traffic up. */
export const OFTEN_MS = 10_000;

export interface MemoryTidyingOptions {
  readonly clock: Clock;
  /** When changes have come to rest; gives pages back unless told. */
  readonly settled?: () => void;
  /** While they go on; collects garbage unless told. */
  readonly unsettled?: () => void;
  /** UNSETTLED_MS unless told. */
  readonly unsettledMs?: number;
}

export class MemoryTidying {
  readonly #clock: Clock;
  readonly #settled: () => void;
  readonly #unsettled: () => void;
  readonly #unsettledMs: number;
  #cancelSettled: (() => void) | undefined = undefined;
  #cancelUnsettled: (() => void) | undefined = undefined;

  constructor({
    clock,
    settled = giveMemoryBack,
    unsettled = collectGarbage,
    unsettledMs = UNSETTLED_MS,
  }: MemoryTidyingOptions) {
    this.#clock = clock;
    this.#settled = settled;
    this.#unsettled = unsettled;
    this.#unsettledMs = unsettledMs;
  }

  /** Something has changed. */
  cause(): void {
    this.#cancelSettled?.();
    this.#cancelSettled = this.#clock.after(SETTLED_MS, () => {
      this.close();
      this.#settled();
    });
    this.#cancelUnsettled ??= this.#clock.after(this.#unsettledMs, () => {
      this.#cancelUnsettled = undefined;
      this.#unsettled();
    });
  }

  /** What is due is dropped. */
  close(): void {
    this.#cancelSettled?.();
    this.#cancelUnsettled?.();
    this.#cancelSettled = undefined;
    this.#cancelUnsettled = undefined;
  }
}
