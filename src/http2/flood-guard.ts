/**
 * Budgets for frames that cost the sender nothing and us something (CVE-2019-9511 to 9518,
 * CVE-2023-44487, CVE-2025-8671): a bucket for each class that fills again with time.
 *
 * To a peer whose address flooded us lately a bucket is small; it fills as fast as any other, so
 * that what goes on for long is allowed to it as to everybody.
 */
import { type Fault, Flood } from "./fault.ts";

export const FloodClass = {
  /** Streams that the peer opens and resets. */
  reset: 0,
  /** Streams that we reset because of what the peer sent. */
  provoked: 1,
  settings: 2,
  ping: 3,
  /** PRIORITY, frames of unknown types, frames on streams that are over. */
  ignored: 4,
  /** DATA without content that ends nothing. */
  emptyData: 5,
  /** WINDOW_UPDATE beyond what our own DATA explains. */
  window: 6,
  /** Streams that we gave up since the peer does not take what it asked for. */
  untaken: 7,
} as const;
export type FloodClass = (typeof FloodClass)[keyof typeof FloodClass];

type Row = readonly [fault: Fault, burst: number, perSecond: number];

/** In the order of FloodClass. */
// biome-ignore format: a table reads as a table
const rows: readonly Row[] = [
  [Flood.reset,     200,  20],
  [Flood.provoked,  100,  10],
  [Flood.settings,   50,  10],
  [Flood.ping,      500, 100],
  [Flood.ignored,  1000, 100],
  [Flood.emptyData, 100,  50],
  [Flood.window,   2000, 500],
  [Flood.untaken,    50,   5],
];

const SMALL_SHARE = 1 / 8;

export class FloodGuard {
  /** How often each class was over its budget. */
  readonly counts: Uint32Array = new Uint32Array(rows.length);
  readonly #bursts: Float64Array;
  readonly #left: Float64Array;
  readonly #filledMs: Float64Array = new Float64Array(rows.length);

  constructor(isSmall = false) {
    const share = isSmall ? SMALL_SHARE : 1;
    this.#bursts = Float64Array.from(rows, ([, burst]) => Math.floor(burst * share));
    this.#left = this.#bursts.slice();
  }

  /** One more frame of the class; a fault where that is one too many. */
  take(flood: FloodClass, nowMs: number): Fault | undefined {
    const [fault, , perSecond] = rows[flood]!;
    const burst = this.#bursts[flood]!;
    const left = this.#left;
    if (left[flood]! < 1) {
      const passedMs = Math.max(0, nowMs - this.#filledMs[flood]!);
      left[flood] = Math.min(burst, left[flood]! + (passedMs / 1000) * perSecond);
      this.#filledMs[flood] = nowMs;
      if (left[flood]! < 1) {
        this.counts[flood]!++;
        return fault;
      }
    } else if (left[flood] === burst) this.#filledMs[flood] = nowMs;
    left[flood]!--;
    return undefined;
  }

  /** Something happened that explains one frame of the class. */
  credit(flood: FloodClass): void {
    if (this.#left[flood]! < this.#bursts[flood]!) this.#left[flood]!++;
  }
}
