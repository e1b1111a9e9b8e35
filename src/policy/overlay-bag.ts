/**
 * Values laid over another bag: what generators found out, what checks answered. Reused from one
 * exchange to the next, so that neither costs a bag.
 *
 * It may hold slots beyond those of the vocabulary, which the bag below is never asked for.
 */
import type { AttributeBag, Reading } from "../attribute/bag.ts";
import type { Value } from "../attribute/value.ts";

const empty: AttributeBag = { read: () => undefined };

export class OverlayBag implements AttributeBag {
  readonly #below: number;
  readonly #values: (Value | undefined)[] = [];
  readonly #set: number[] = [];
  #base: AttributeBag = empty;

  /** `below`: how many slots the bag below has. */
  constructor(below: number) {
    this.#below = below;
  }

  /** Begins anew, over `base`. */
  lay(base: AttributeBag): void {
    for (const slot of this.#set) this.#values[slot] = undefined;
    this.#set.length = 0;
    this.#base = base;
  }

  set(slot: number, value: Value): void {
    this.#values[slot] = value;
    this.#set.push(slot);
  }

  read(slot: number): Reading {
    const value = this.#values[slot];
    if (value !== undefined || slot >= this.#below) return value;
    return this.#base.read(slot);
  }
}
