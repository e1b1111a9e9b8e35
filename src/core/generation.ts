/**
 * Publishes snapshots by one assignment, and tells when the last user of a former one has gone.
 *
 *   publish(s2)        acquire() ─▶ g2
 *   g1 ── in use ──▶ release(g1) … users = 0 ─▶ onRetire(g1)
 */
import { assert } from "./assert.ts";

/** One published snapshot and how many exchanges still use it. */
export interface Generation<S> {
  readonly number: number;
  readonly snapshot: S;
  users: number;
}

export class GenerationCell<S> {
  readonly #onRetire: (generation: Generation<S>) => void;
  #current: Generation<S>;

  constructor(snapshot: S, onRetire: (generation: Generation<S>) => void) {
    this.#onRetire = onRetire;
    this.#current = { number: 1, snapshot, users: 0 };
  }

  /** What a new exchange would begin with. */
  get current(): Generation<S> {
    return this.#current;
  }

  acquire(): Generation<S> {
    this.#current.users++;
    return this.#current;
  }

  release(generation: Generation<S>): void {
    assert(generation.users > 0, "a generation is released as often as it is acquired");
    generation.users--;
    if (generation.users === 0 && generation !== this.#current) this.#onRetire(generation);
  }

  publish(snapshot: S): void {
    const former = this.#current;
    this.#current = { number: former.number + 1, snapshot, users: 0 };
    if (former.users === 0) this.#onRetire(former);
  }
}
