/** Readers of messages that have to be whole, or to say one thing of several. */
import { type Fields, message, type Reader } from "./message.ts";
import type { Place } from "./place.ts";

/** A message with all of these fields. */
export function whole<const F extends Fields>(
  fields: F,
  ...needed: readonly (keyof F & string)[]
): Reader<Place> {
  const read = message(fields);
  return (place) => {
    const written = read(place);
    if (written === undefined) return undefined;
    for (const field of needed) if (!written.has(field)) place.error(`must have a field ${field}`);
    return place;
  };
}

/** A message with one of its fields, and no other. */
export function choice<const F extends Fields>(fields: F): Reader<Place> {
  const read = message(fields);
  const names = Object.keys(fields);
  return (place) => {
    const written = read(place);
    const given = names.filter((name) => written?.has(name) === true);
    if (written !== undefined && given.length !== 1)
      place.error(`must have exactly one of ${names.join(", ")}`);
    return written && place;
  };
}
