/**
 * Consistent hashing on a ring, as in ketama: each endpoint has points on the circle of 32-bit
 * hashes, and a request goes to the point at or after its own hash. Where an endpoint's points are
 * depends on its address alone, and their number per weight is a power of two, so that a change of
 * endpoints moves only the requests of those that came or went (and a part of the others' at the
 * few sizes where the number doubles).
 */
import type { Random } from "../../../core/random.ts";
import type { Endpoint } from "../endpoint.ts";
import { type Balancer, NO_HASH } from "./balancer.ts";
import { hashText, rehash } from "./hash.ts";

export interface RingPolicy {
  /** Points on the ring: at least, so that shares are even; at most, for memory. */
  readonly pointsMin: number;
  readonly pointsMax: number;
}

/** Whatever is asked for: a million points take 12 MB and half a second to sort. */
export const RING_POINTS_MAX = 1_048_576;

export class HashRing implements Balancer {
  readonly #random: Random;
  readonly #policy: RingPolicy;
  #endpoints: readonly Endpoint[] = [];
  /** Sorted. */
  #points = new Uint32Array(0);
  /** Whose point each is. */
  #owners = new Uint32Array(0);

  constructor(random: Random, policy: RingPolicy) {
    this.#random = random;
    this.#policy = policy;
  }

  /** Points on the ring now. */
  get size(): number {
    return this.#points.length;
  }

  rotate(endpoints: readonly Endpoint[], weights: Float64Array): void {
    this.#endpoints = endpoints;
    const counts = pointCounts(weights, this.#policy);
    let total = 0;
    for (const count of counts) total += count;
    // The owner in the low bits: sorting numbers sorts both, and equal points by owner.
    const keys = new Float64Array(total);
    let at = 0;
    for (const [i, { authority }] of endpoints.entries()) {
      const hash = hashText(authority);
      for (let k = 0; k < counts[i]!; k++) keys[at++] = rehash(hash, k) * OWNERS + i;
    }
    keys.sort();
    this.#points = Uint32Array.from(keys, (key) => Math.floor(key / OWNERS));
    this.#owners = Uint32Array.from(keys, (key) => key % OWNERS);
  }

  pick(avoid: Endpoint | undefined, hash: number): Endpoint | undefined {
    const points = this.#points;
    const count = points.length;
    if (count === 0) return undefined;
    const wanted = hash === NO_HASH ? this.#random() * 4_294_967_296 : hash;
    let low = 0;
    let high = count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (points[middle]! < wanted) low = middle + 1;
      else high = middle;
    }
    const at = low === count ? 0 : low;
    const picked = this.#endpoints[this.#owners[at]!]!;
    return picked === avoid ? this.#after(at, avoid) : picked;
  }

  /** The next one on the ring who is another. */
  #after(from: number, avoid: Endpoint): Endpoint {
    const owners = this.#owners;
    for (let i = 1; i < owners.length; i++) {
      const endpoint = this.#endpoints[owners[(from + i) % owners.length]!]!;
      if (endpoint !== avoid) return endpoint;
    }
    return avoid;
  }
}

/** More than endpoints of one cluster; times 2^32 it is a safe integer. */
const OWNERS = 0x10_0000;

/** Points of each endpoint: at least one. */
function pointCounts(weights: Float64Array, { pointsMin, pointsMax }: RingPolicy): Uint32Array {
  let total = 0;
  for (const weight of weights) total += weight;
  const max = Math.min(pointsMax, RING_POINTS_MAX);
  const wanted = Math.min(Math.max(pointsMin, 1), max);
  let scale = 2 ** Math.ceil(Math.log2(wanted / total));
  if (scale * total > max) scale /= 2;
  return Uint32Array.from(weights, (weight) => Math.max(1, Math.round(weight * scale)));
}
