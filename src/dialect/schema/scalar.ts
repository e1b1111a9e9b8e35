/** Readers of single values, by the rules of proto-JSON, and combinators that narrow them. */
import { isMap, isScalar, isSeq } from "yaml";
import { didYouMean } from "../../core/suggestion.ts";
import {
  checkDuration,
  type Nanoseconds,
  parseDuration,
  toMs,
} from "../../model/validate-duration.ts";
import type { Complaint } from "../../model/validate-name.ts";
import type { Reader } from "./message.ts";
import type { Place } from "./place.ts";

function scalarOf(place: Place, wanted: string): unknown {
  const { node } = place;
  if (isScalar(node)) return node.value;
  const got = isMap(node) ? "a map" : isSeq(node) ? "a list" : "nothing";
  place.error(`must be ${wanted}, not ${got}`);
  return undefined;
}

export const text: Reader<string> = (place) => {
  const value = scalarOf(place, "a text");
  if (value === undefined || typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "boolean" || typeof value === "bigint") {
    const source = isScalar(place.node) ? (place.node.source ?? String(value)) : String(value);
    place.error(`must be a text, not the ${typeof value} ${source}`, `write "${source}"`);
  } else place.error("must be a text");
  return undefined;
};

export const flag: Reader<boolean> = (place) => {
  const value = scalarOf(place, "true or false");
  if (value === undefined || typeof value === "boolean") return value;
  place.error(`must be true or false, not ${JSON.stringify(value)}`, asBoolean(value));
  return undefined;
};

function asBoolean(value: unknown): string | undefined {
  if (typeof value !== "string") return undefined;
  if (/^(yes|on|true)$/i.test(value)) return "write true";
  return /^(no|off|false)$/i.test(value) ? "write false" : undefined;
}

export const number: Reader<number> = (place) => {
  const value = scalarOf(place, "a number");
  if (value === undefined) return undefined;
  const read = typeof value === "string" && /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value;
  if (typeof read === "number" && Number.isFinite(read)) return read;
  place.error(`must be a number, not ${JSON.stringify(value)}`);
  return undefined;
};

const int32 = { least: -(2 ** 31), most: 2 ** 31 - 1 };

/** A whole number of 32 bits, or within the bounds given. */
export function integer(bounds: { least?: number; most?: number } = {}): Reader<number> {
  const { least, most } = { ...int32, ...bounds };
  return (place) => {
    const value = number(place);
    if (value === undefined) return undefined;
    if (!Number.isInteger(value)) place.error(`must be a whole number, not ${value}`);
    else if (value >= least && value <= most) return value;
    else if (most === int32.most) place.error(`must be at least ${least}, not ${value}`);
    else place.error(`must be between ${least} and ${most}, not ${value}`);
    return undefined;
  };
}

/** 0 to 100; fractions count. */
export const percent: Reader<number> = (place) => {
  const value = number(place);
  if (value === undefined || (value >= 0 && value <= 100)) return value;
  place.error(`must be between 0 and 100, not ${value}`);
  return undefined;
};

/** The name of one of the values, or its number: its place in the list. */
export function oneOf<const V extends readonly string[]>(...values: V): Reader<V[number]> {
  return (place) => {
    const value = scalarOf(place, `one of ${values.join(", ")}`);
    if (value === undefined) return undefined;
    const found = typeof value === "number" ? values[value] : values.find((v) => v === value);
    if (found !== undefined) return found;
    const word = String(value);
    place.error(
      `must be one of ${values.filter((v) => v !== "").join(", ")}, not ${JSON.stringify(value)}`,
      didYouMean(word, values),
    );
    return undefined;
  };
}

export const nanoseconds: Reader<Nanoseconds> = (place) => {
  const value = scalarOf(place, `a duration such as "2.5s"`);
  if (value === undefined) return undefined;
  const read = typeof value === "string" ? parseDuration(value) : undefined;
  if (read !== undefined) return read;
  const hint = typeof value === "number" ? `write "${value}s"` : undefined;
  place.error(`must be a duration such as "2.5s", not ${JSON.stringify(value)}`, hint);
  return undefined;
};

/** Milliseconds travel in 32 bits. */
const longestMs = 2 ** 32 - 1;
const tooLong = "is too long: 49 days at most";

/** Milliseconds, whole, within what `check` allows. */
export function duration(check: (value: Nanoseconds) => Complaint = checkDuration): Reader<number> {
  return (place) => {
    const value = nanoseconds(place);
    if (value === undefined) return undefined;
    const complaint = check(value) ?? (toMs(value) > longestMs ? tooLong : undefined);
    return place.check(complaint) ? toMs(value) : undefined;
  };
}

/** Seconds as a number (the first releases), read as milliseconds. */
export const seconds: Reader<number> = (place) => {
  const value = number(place);
  if (value === undefined) return undefined;
  const ms = value * 1_000;
  if (value >= 0 && Number.isInteger(ms) && ms <= longestMs) return ms;
  place.error(ms > longestMs ? tooLong : `must be seconds, of whole milliseconds, not ${value}`);
  return undefined;
};

/** A text that says something. */
export const nonEmpty: Reader<string> = (place) => {
  const value = text(place);
  if (value !== "") return value;
  place.error("must not be empty");
  return undefined;
};

/** A text that a check has nothing against. */
export function checkedText(check: (value: string) => Complaint): Reader<string> {
  return (place) => {
    const value = text(place);
    if (value === undefined) return undefined;
    const complaint = check(value);
    if (complaint === undefined) return value;
    place.error(value === "" ? complaint : `${JSON.stringify(value)} ${complaint}`);
    return undefined;
  };
}
