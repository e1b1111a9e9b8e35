/**
 * The time of one event of the event loop. A piece of input brings the frames of many streams, and
 * each of their exchanges asks for the time: while it is held the clock is read once.
 */
import type { Clock } from "../../core/clock.ts";

export class EventClock implements Clock {
  readonly #clock: Clock;
  /** 0: not held. */
  #heldMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Time stands until `release`, which must follow in the same event. */
  hold(): number {
    this.#heldMs = this.#clock.nowMs();
    return this.#heldMs;
  }

  release(): void {
    this.#heldMs = 0;
  }

  nowMs(): number {
    return this.#heldMs === 0 ? this.#clock.nowMs() : this.#heldMs;
  }

  wallMs(): number {
    return this.#clock.wallMs();
  }

  after(ms: number, callback: () => void): () => void {
    return this.#clock.after(ms, callback);
  }
}
