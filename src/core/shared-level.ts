/** The level of a process's log in shared memory: a change is one for all of its threads. */
import type { Level } from "./log.ts";

const LEVELS: readonly Level[] = ["debug", "info", "warn", "error"];

export class SharedLevel {
  readonly memory: SharedArrayBuffer;
  readonly #cell: Int32Array;

  /** Of another thread's `memory`, or a new one with this level. */
  constructor(from: SharedArrayBuffer | Level) {
    this.memory = from instanceof SharedArrayBuffer ? from : new SharedArrayBuffer(4);
    this.#cell = new Int32Array(this.memory);
    if (typeof from === "string") this.level = from;
  }

  get level(): Level {
    return LEVELS[Atomics.load(this.#cell, 0)]!;
  }

  set level(level: Level) {
    Atomics.store(this.#cell, 0, LEVELS.indexOf(level));
  }
}
