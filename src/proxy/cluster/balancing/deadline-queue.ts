/**
 * Weighted round robin for weights that may change at every turn: earliest deadline first. Each
 * member is due 1 / weight after its last turn, and whoever is due next has the turn, so turns are
 * spread evenly: three of a and one of b are "a a b a". A binary heap in typed arrays: a pick costs
 * O(log n) and allocates nothing.
 */
import type { Random } from "../../../core/random.ts";

export class DeadlineQueue {
  /** Member at each place of the heap. */
  readonly #heap: Int32Array;
  /** When each member is due. */
  readonly #dueAt: Float64Array;

  /** `weightOf(i)`, above 0, of each member; the first turns are spread by chance. */
  constructor(count: number, weightOf: (member: number) => number, random: Random) {
    this.#heap = Int32Array.from({ length: count }, (_, i) => i);
    this.#dueAt = Float64Array.from({ length: count }, (_, i) => random() / weightOf(i));
    for (let at = (count >> 1) - 1; at >= 0; at--) this.#sink(at);
  }

  /** Whose turn it is. `took` ends it. */
  get first(): number {
    return this.#heap[0]!;
  }

  /** The first has had its turn and has this weight now. */
  took(weight: number): void {
    this.#dueAt[this.#heap[0]!]! += 1 / weight;
    this.#sink(0);
  }

  #sink(from: number): void {
    const heap = this.#heap;
    const due = this.#dueAt;
    const member = heap[from]!;
    const memberDue = due[member]!;
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && due[heap[child + 1]!]! < due[heap[child]!]!) child++;
      if (due[heap[child]!]! >= memberDue) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = member;
  }
}
