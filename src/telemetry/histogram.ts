/**
 * A histogram with fixed bounds: one slot a bucket, each counting only what fell into it, and one
 * for the sum. The bucket of a value is found by its number of bits and at most three comparisons.
 */

/** Milliseconds; Envoy's default bounds. The last bucket, +Inf, is implied. */
export const BUCKETS_MS: readonly number[] = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000,
  600_000, 1_800_000, 3_600_000,
];

/** Buckets with +Inf, and the sum. */
export const HISTOGRAM_SLOTS: number = BUCKETS_MS.length + 2;

const BOUNDS = Float64Array.from([...BUCKETS_MS, Number.POSITIVE_INFINITY]);
const LAST = BOUNDS.length - 1;
const LAST_BOUND = BUCKETS_MS.at(-1)!;

/** By the number of bits of a value's whole part: the first bucket that can hold it. */
const FIRST = Uint8Array.from({ length: 33 }, (_, bits) => {
  const least = bits === 0 ? 0 : 2 ** (bits - 1);
  return BOUNDS.findIndex((bound) => bound >= least);
});

export function bucketOf(ms: number): number {
  if (ms > LAST_BOUND) return LAST;
  let bucket = FIRST[32 - Math.clz32(ms)]!;
  while (ms > BOUNDS[bucket]!) bucket++;
  return bucket;
}

export class Histogram {
  readonly values: Float64Array;
  /** First of the buckets; the sum follows the last. */
  readonly slot: number;

  constructor(values: Float64Array, slot: number) {
    this.values = values;
    this.slot = slot;
  }

  observe(ms: number): void {
    const { values, slot } = this;
    values[slot + bucketOf(ms)]!++;
    values[slot + LAST + 1]! += ms;
  }

  get count(): number {
    let count = 0;
    for (let i = 0; i <= LAST; i++) count += this.values[this.slot + i]!;
    return count;
  }

  get sum(): number {
    return this.values[this.slot + LAST + 1]!;
  }
}
