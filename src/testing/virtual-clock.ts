/** The clock of a simulation: it moves by hand, and runs each timer at its own moment. */
import type { Clock } from "../core/clock.ts";

interface Due {
  readonly atMs: number;
  readonly order: number;
  readonly callback: () => void;
}

export class VirtualClock implements Clock {
  readonly #wallStartMs: number;
  readonly #due: Due[] = [];
  #nowMs = 0;
  #order = 0;

  /** `wallStartMs`: the time of day at which it begins; 2026-01-01T00:00:00Z unless told. */
  constructor(wallStartMs: number = Date.UTC(2026, 0, 1)) {
    this.#wallStartMs = wallStartMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#wallStartMs + this.#nowMs;
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { atMs: this.#nowMs + Math.max(0, ms), order: this.#order++, callback };
    this.#due.push(timer);
    this.#due.sort((a, b) => a.atMs - b.atMs || a.order - b.order);
    return () => {
      const at = this.#due.indexOf(timer);
      if (at !== -1) this.#due.splice(at, 1);
    };
  }

  /** How many callbacks are waiting: 0 for something that promises to leave nothing running. */
  get waiting(): number {
    return this.#due.length;
  }

  /** Moves time forward, running each timer at its own moment and in order. */
  advance(ms: number): void {
    const untilMs = this.#nowMs + ms;
    for (let next = this.#due[0]; next !== undefined && next.atMs <= untilMs; next = this.#due[0]) {
      this.#due.shift();
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.callback();
    }
    this.#nowMs = untilMs;
  }

  /** Time passes and nobody gets to run: a stalled event loop. Timers come late, at `advance`. */
  stall(ms: number): void {
    this.#nowMs += ms;
  }
}
