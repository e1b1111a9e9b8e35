/**
 * Chooses one of the endpoints in rotation, in constant time and without allocation.
 *
 * A weight becomes a number of places in the rotation, spread evenly: three places of a and one of
 * b are "a a b a", never "a a a b" for ever. So round robin walks it, and a random place is a
 * weighted random endpoint. Least request takes two random places and the less busy of them.
 */
import type { Random } from "../../core/random.ts";
import type { Endpoint } from "./endpoint.ts";

export type LoadBalancerKind = "round-robin" | "random" | "least-request";

export interface WeightedEndpoint {
  readonly endpoint: Endpoint;
  /** At least 1. */
  readonly weight: number;
}

/** Above it weights are scaled down, none below one place. */
const PLACES_MAX = 16_384;

/** The places of `members`, in the order of round robin. */
export function placesOf(members: readonly WeightedEndpoint[]): Endpoint[] {
  let divisor = 0;
  let total = 0;
  for (const { weight } of members) {
    divisor = greatestCommonDivisor(weight, divisor);
    total += weight;
  }
  if (divisor === 0) return [];
  const scale = Math.max(divisor, total / PLACES_MAX);
  const places: { readonly at: number; readonly endpoint: Endpoint }[] = [];
  for (const { endpoint, weight } of members) {
    const count = Math.max(1, Math.round(weight / scale));
    for (let k = 0; k < count; k++) places.push({ at: (k + 0.5) / count, endpoint });
  }
  return places.sort((a, b) => a.at - b.at).map(({ endpoint }) => endpoint);
}

export class LoadBalancer {
  readonly kind: LoadBalancerKind;
  readonly #random: Random;
  #places: readonly Endpoint[] = [];
  #next = 0;

  constructor(kind: LoadBalancerKind, random: Random) {
    this.kind = kind;
    this.#random = random;
  }

  /** Starts at a random place, so that many proxies do not begin with the same endpoint. */
  rotate(places: readonly Endpoint[]): void {
    this.#places = places;
    this.#next = Math.floor(this.#random() * places.length);
  }

  /** An endpoint in rotation; another than `avoid` if there is one. */
  pick(avoid: Endpoint | undefined): Endpoint | undefined {
    const count = this.#places.length;
    if (count < 2) return this.#places[0];
    const picked = this.#pickAny(count);
    return picked === avoid ? this.#pickOther(count, avoid) : picked;
  }

  #pickAny(count: number): Endpoint {
    switch (this.kind) {
      case "round-robin": {
        const at = this.#next;
        this.#next = at + 1 === count ? 0 : at + 1;
        return this.#places[at]!;
      }
      case "random":
        return this.#places[Math.floor(this.#random() * count)]!;
      case "least-request": {
        // One random number chooses an ordered pair of different places.
        const pair = Math.floor(this.#random() * count * (count - 1));
        const first = Math.floor(pair / (count - 1));
        const rest = pair - first * (count - 1);
        const a = this.#places[first]!;
        const b = this.#places[rest < first ? rest : rest + 1]!;
        return b.active < a.active ? b : a;
      }
    }
  }

  /** From a random place onwards, the first that is not `avoid`. */
  #pickOther(count: number, avoid: Endpoint): Endpoint {
    const start = Math.floor(this.#random() * count);
    for (let i = 0; i < count; i++) {
      const place = this.#places[(start + i) % count]!;
      if (place !== avoid) return place;
    }
    return avoid;
  }
}

function greatestCommonDivisor(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y !== 0) [x, y] = [y, x % y];
  return x;
}
