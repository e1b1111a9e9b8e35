/**
 * What an attribute can be: the types that a vocabulary declares, and the form a value of each type
 * has while it is in memory.
 *
 * A value is meaningful together with its type, which is always known beforehand (from the
 * vocabulary, or from the compiled expression): an INT64, a DOUBLE and a DURATION may all be the
 * number 5. Forms are chosen so that the usual value costs no allocation and `===` compares it.
 */

/** In the order of the numbers of istio.mixer.v1's ValueType; 0 is UNSPECIFIED. */
export const valueTypes = [
  "STRING",
  "INT64",
  "DOUBLE",
  "BOOL",
  "TIMESTAMP",
  "IP_ADDRESS",
  "EMAIL_ADDRESS",
  "URI",
  "DNS_NAME",
  "DURATION",
  "STRING_MAP",
] as const;

export type ValueType = (typeof valueTypes)[number];

/**
 * Exactly 64 bits, signed: a number where |n| <= 2^53 - 1, else a bigint, never both for one value,
 * so `===`, `<` and String() are right as they stand. Sums go through addInt64.
 */
export type Int64 = number | bigint;

/** A point in time, UTC; years 1 to 9999. */
export interface Timestamp {
  /** Since 1970-01-01T00:00:00Z; negative before it. */
  readonly seconds: number;
  /** 0 to 999,999,999, always counted forwards from `seconds`. */
  readonly nanos: number;
}

/** A `Map<string, string>` is one; so is a lazy view of header fields. */
export interface StringMap {
  get(key: string): string | undefined;
  entries(): Iterable<readonly [key: string, value: string]>;
}

/**
 * The form of each type.
 *
 * Text is Unicode; a byte that is not part of valid UTF-8 is kept as U+DC00 + byte, so that nothing
 * is lost and lengths in bytes are exact (`byte-text.ts`).
 */
export interface ValueOf {
  readonly STRING: string;
  readonly INT64: Int64;
  readonly DOUBLE: number;
  readonly BOOL: boolean;
  readonly TIMESTAMP: Timestamp;
  /** Network order, 4 or 16 bytes; ::ffff:a.b.c.d is the same address as a.b.c.d. */
  readonly IP_ADDRESS: Uint8Array;
  readonly EMAIL_ADDRESS: string;
  readonly URI: string;
  readonly DNS_NAME: string;
  /** Nanoseconds. */
  readonly DURATION: Int64;
  readonly STRING_MAP: StringMap;
}

export type Value = ValueOf[ValueType];

/** A value that carries its type: for places where no vocabulary or expression tells. */
export type TypedValue = {
  readonly [T in ValueType]: { readonly type: T; readonly value: ValueOf[T] };
}[ValueType];

export const int64Min = -(2n ** 63n);
export const int64Max = 2n ** 63n - 1n;

/** The low 64 bits of any integer, in the one form that stands for them. */
export function toInt64(value: bigint): Int64 {
  const wrapped = BigInt.asIntN(64, value);
  const short = Number(wrapped);
  return Number.isSafeInteger(short) ? short : wrapped;
}

/** Wraps like two's complement. */
export function addInt64(a: Int64, b: Int64): Int64 {
  if (typeof a === "number" && typeof b === "number") {
    const sum = a + b;
    if (Number.isSafeInteger(sum)) return sum;
  }
  return toInt64(BigInt(a) + BigInt(b));
}
