/**
 * Google's Maglev: a table of a prime size that endpoints fill in turn, each by its own permutation
 * of the places. Shares are as even as they can be, a pick is one look; a change of endpoints moves
 * few other requests, though more than a ring would. Weights are turns, as Envoy does it.
 */
import type { Random } from "../../../core/random.ts";
import type { Endpoint } from "../endpoint.ts";
import { type Balancer, below, NO_HASH } from "./balancer.ts";
import { hashText, rehash } from "./hash.ts";

export const MAGLEV_SIZE = 65_537;
/** Envoy's limit; a table takes two or four bytes a place. */
export const MAGLEV_SIZE_MAX = 5_000_011;

export class Maglev implements Balancer {
  readonly #random: Random;
  readonly #size: number;
  #endpoints: readonly Endpoint[] = [];
  /** Place → endpoint. */
  #table: Int32Array = new Int32Array(0);

  /** `size`: a prime, well above the number of endpoints. */
  constructor(random: Random, size: number) {
    this.#random = random;
    this.#size = size;
  }

  rotate(endpoints: readonly Endpoint[], weights: Float64Array): void {
    this.#endpoints = endpoints;
    if (endpoints.length < 2) {
      this.#table = new Int32Array(endpoints.length);
      return;
    }
    this.#table = fill(endpoints, weights, this.#size);
  }

  pick(avoid: Endpoint | undefined, hash: number): Endpoint | undefined {
    const table = this.#table;
    const count = table.length;
    if (count === 0) return undefined;
    const at = hash === NO_HASH ? below(count, this.#random) : hash % count;
    const picked = this.#endpoints[table[at]!]!;
    return picked === avoid ? this.#after(at, avoid) : picked;
  }

  #after(from: number, avoid: Endpoint): Endpoint {
    const table = this.#table;
    for (let i = 1; i < table.length; i++) {
      const endpoint = this.#endpoints[table[(from + i) % table.length]!]!;
      if (endpoint !== avoid) return endpoint;
    }
    return avoid;
  }
}

function fill(endpoints: readonly Endpoint[], weights: Float64Array, size: number): Int32Array {
  const table = new Int32Array(size).fill(-1);
  const count = endpoints.length;
  const next = new Float64Array(count);
  const skip = new Float64Array(count);
  for (const [i, { authority }] of endpoints.entries()) {
    const hash = hashText(authority);
    next[i] = rehash(hash, 1) % size;
    skip[i] = (rehash(hash, 2) % (size - 1)) + 1;
  }
  let heaviest = 0;
  for (const weight of weights) heaviest = Math.max(heaviest, weight);
  /** Turns that each is owed; the heaviest gets one a round. */
  const owed = new Float64Array(count);
  for (let filled = 0; filled < size; ) {
    for (let i = 0; i < count && filled < size; i++) {
      owed[i]! += weights[i]! / heaviest;
      if (owed[i]! < 1) continue;
      owed[i]! -= 1;
      let place = next[i]!;
      while (table[place]! !== -1) place = (place + skip[i]!) % size;
      table[place] = i;
      next[i] = (place + skip[i]!) % size;
      filled++;
    }
  }
  return table;
}
