/**
 * Chance as a parameter: production passes systemRandom, a test a seeded one. Returns [0, 1).
 */
export type Random = () => number;

export const systemRandom: Random = Math.random;

/** mulberry32: small, fast, and the same on every machine. Not for secrets. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
