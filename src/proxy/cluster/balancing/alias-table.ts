/** A weighted random choice in constant time (Vose's alias method), exact for any weights. */
import type { Random } from "../../../core/random.ts";

export class AliasTable {
  /** At column i: i itself below this part of the column, its alias above. */
  readonly #part: Float64Array;
  readonly #alias: Int32Array;

  constructor(weights: Float64Array) {
    const count = weights.length;
    let total = 0;
    for (const weight of weights) total += weight;
    this.#part = Float64Array.from(weights, (weight) => (weight * count) / total);
    this.#alias = Int32Array.from({ length: count }, (_, i) => i);
    const small: number[] = [];
    const large: number[] = [];
    for (let i = 0; i < count; i++) (this.#part[i]! < 1 ? small : large).push(i);
    while (small.length > 0 && large.length > 0) {
      const less = small.pop()!;
      const more = large.pop()!;
      this.#alias[less] = more;
      this.#part[more]! -= 1 - this.#part[less]!;
      (this.#part[more]! < 1 ? small : large).push(more);
    }
    // What is left differs from 1 by rounding only.
    for (const i of small) this.#part[i] = 1;
  }

  pick(random: Random): number {
    const at = random() * this.#part.length;
    const column = Math.floor(at);
    return at - column < this.#part[column]! ? column : this.#alias[column]!;
  }
}
