/**
 * One file of lines that several threads append to, each from a buffer of its own. A regular file
 * keeps one write together; a pipe does not, and a write that is cut short continues later. So only
 * one thread writes at a time; the others go on, and come back a moment later.
 */
import type { Clock } from "../../core/clock.ts";
import type { LineSink } from "../../telemetry/access-log.ts";

const FREE = 0;
const TAKEN = 1;
const COME_BACK_MS = 2;

export class SharedTurn implements LineSink {
  readonly #cell: Int32Array;
  readonly #file: LineSink;
  readonly #clock: Clock;

  /** `memory`: four bytes that all of them share. */
  constructor(memory: SharedArrayBuffer, file: LineSink, clock: Clock) {
    this.#cell = new Int32Array(memory);
    this.#file = file;
    this.#clock = clock;
  }

  write(bytes: Uint8Array, done: (written: boolean) => void): void {
    if (Atomics.compareExchange(this.#cell, 0, FREE, TAKEN) !== FREE) {
      this.#clock.after(COME_BACK_MS, () => this.write(bytes, done));
      return;
    }
    this.#file.write(bytes, (written) => {
      Atomics.store(this.#cell, 0, FREE);
      done(written);
    });
  }

  /** For the last moment: waits for nobody. */
  writeSync(bytes: Uint8Array): boolean {
    return this.#file.writeSync(bytes);
  }
}
