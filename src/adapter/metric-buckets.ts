/** Buckets of a distribution, as operators write them: linear, exponential or one by one. */
import { list, message } from "../dialect/schema/message.ts";
import { integer, number } from "../dialect/schema/scalar.ts";

const BUCKETS_MAX = 500;
/** Those of Prometheus' libraries, of seconds. */
export const defaultBounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

const finite = integer({ least: 1, most: BUCKETS_MAX });
export const buckets = message({
  linearBuckets: message({ numFiniteBuckets: finite, width: number, offset: number }),
  exponentialBuckets: message({ numFiniteBuckets: finite, growthFactor: number, scale: number }),
  explicitBuckets: message({ bounds: list(number) }),
});

type BucketsMessage = NonNullable<ReturnType<typeof buckets>>;

/** Upper bounds that rise; of N finite buckets N + 1. Undefined: none were written. */
export function boundsOf(value: BucketsMessage | undefined): readonly number[] | undefined {
  if (value === undefined) return undefined;
  const { linearBuckets: linear, exponentialBuckets: exponential, explicitBuckets } = value;
  const given = [linear, exponential, explicitBuckets].filter((one) => one !== undefined);
  if (given.length > 1) value.at().error("must be of one kind");
  let bounds: readonly number[] | undefined;
  if (linear !== undefined) {
    const { numFiniteBuckets = 0, width = 0, offset = 0 } = linear;
    bounds = Array.from({ length: numFiniteBuckets + 1 }, (_, i) => offset + i * width);
  } else if (exponential !== undefined) {
    const { numFiniteBuckets = 0, growthFactor = 0, scale = 0 } = exponential;
    bounds = Array.from({ length: numFiniteBuckets + 1 }, (_, i) => scale * growthFactor ** i);
  } else if (explicitBuckets !== undefined) bounds = explicitBuckets.bounds ?? [];
  if (bounds === undefined) return undefined;
  if (bounds.length > BUCKETS_MAX + 1) value.at().error(`has more than ${BUCKETS_MAX} buckets`);
  else if (bounds.length === 0) value.at().error("has no bounds");
  else if (bounds.some((bound, i) => i > 0 && !(bound > bounds[i - 1]!)))
    value.at().error("must have bounds that rise");
  return bounds;
}
