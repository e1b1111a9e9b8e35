/**
 * How many lines for taps may be on their way from the Workers to the main thread. A main thread
 * that is behind gets fewer lines, not a longer queue.
 */
const LINES_MAX = 1_000;

export class LineAllowance {
  readonly #cell: Int32Array;

  /** `memory`: four bytes that all threads share. */
  constructor(memory: SharedArrayBuffer) {
    this.#cell = new Int32Array(memory);
  }

  /** False: this line is not to be sent. */
  take(): boolean {
    if (Atomics.load(this.#cell, 0) >= LINES_MAX) return false;
    Atomics.add(this.#cell, 0, 1);
    return true;
  }

  /** A line has arrived. */
  giveBack(): void {
    Atomics.sub(this.#cell, 0, 1);
  }
}
