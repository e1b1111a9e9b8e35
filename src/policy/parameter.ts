/** Readers of what parameters of several adapters are made of. */
import type { Message, Reader } from "../dialect/schema/message.ts";
import { nanoseconds } from "../dialect/schema/scalar.ts";
import { toMs } from "../model/validate-duration.ts";

/** Milliseconds, fractions included; `least` is one that is still allowed. */
export function span(least = 0): Reader<number> {
  return (place) => {
    const value = nanoseconds(place);
    if (value === undefined) return undefined;
    const ms = toMs(value);
    if (ms >= least) return ms;
    place.error(`must be at least ${least / 1_000}s, not ${ms / 1_000}s`);
    return undefined;
  };
}

/** Longer than nothing. */
export const positiveSpan: Reader<number> = (place) => {
  const ms = span()(place);
  if (ms !== 0) return ms;
  place.error("must be longer than 0s");
  return undefined;
};

/** Whole numbers that arithmetic keeps exact. */
export const amounts = { least: 0, most: Number.MAX_SAFE_INTEGER };

/** Reports a field that has to be there and is not. */
export function requireField<F extends string>(
  value: Pick<Message<Readonly<Record<F, Reader<unknown>>>>, "at" | "has">,
  field: F,
): void {
  if (!value.has(field)) value.at(field).error("must be given");
}
