/** Durations as Go writes them: "1h30m", "-1.5ms", "300us"; in memory nanoseconds of 64 bits. */
import { type Int64, int64Max, int64Min, toInt64 } from "./value.ts";

const SECOND_NS = 1_000_000_000n;
/** Longer text is no duration: every part of it would have to be padding. */
const TEXT_MAX = 256;

const unitsNs: ReadonlyMap<string, bigint> = new Map([
  ["ns", 1n],
  ["us", 1_000n],
  ["\u00b5s", 1_000n],
  ["\u03bcs", 1_000n],
  ["ms", 1_000_000n],
  ["s", SECOND_NS],
  ["m", 60n * SECOND_NS],
  ["h", 3600n * SECOND_NS],
]);

/** Undefined where the text is no duration, or one of more than 64 bits. */
export function parseDuration(text: string): Int64 | undefined {
  if (text.length > TEXT_MAX) return undefined;
  const negative = text.startsWith("-");
  const rest = negative || text.startsWith("+") ? text.slice(1) : text;
  if (rest === "0") return 0;
  const part = /(\d*)(?:(\.)(\d*))?(ns|us|\u00b5s|\u03bcs|ms|s|m|h)/y;
  let total = 0n;
  while (part.lastIndex < rest.length) {
    const match = part.exec(rest);
    if (match === null) return undefined;
    const [, whole = "", , fraction = "", unit = ""] = match;
    if (whole === "" && fraction === "") return undefined;
    const scale = unitsNs.get(unit)!;
    total += BigInt(whole || "0") * scale + fractionOf(fraction, scale);
  }
  if (rest === "" || total > (negative ? -int64Min : int64Max)) return undefined;
  return toInt64(negative ? -total : total);
}

/**
 * What digits after the point are worth, cut off below a nanosecond. In floating point, as Go has
 * it: 0.3333333333333333333h is twenty minutes, though its digits are a little less.
 */
function fractionOf(digits: string, scale: bigint): bigint {
  let value = 0n;
  let parts = 1;
  for (const digit of digits) {
    const next = value * 10n + BigInt(digit);
    if (next > int64Max) break;
    value = next;
    parts *= 10;
  }
  return BigInt(Math.trunc(Number(value) * (Number(scale) / parts)));
}

/** "1h30m0s", "1.5ms", "0s": the largest unit below a second, or hours, minutes and seconds. */
export function formatDuration(ns: Int64): string {
  const sign = ns < 0 ? "-" : "";
  let nanos: number;
  let seconds: number;
  if (typeof ns === "number") {
    const size = Math.abs(ns);
    nanos = size % 1e9;
    seconds = (size - nanos) / 1e9;
  } else {
    const size = ns < 0n ? -ns : ns;
    nanos = Number(size % SECOND_NS);
    seconds = Number(size / SECOND_NS);
  }
  if (seconds === 0) return nanos === 0 ? "0s" : sign + belowSecond(nanos);
  const text = `${pointed(seconds % 60, nanos, 9)}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes === 0) return sign + text;
  if (minutes < 60) return `${sign}${minutes}m${text}`;
  return `${sign}${Math.floor(minutes / 60)}h${minutes % 60}m${text}`;
}

function belowSecond(nanos: number): string {
  if (nanos < 1e3) return `${nanos}ns`;
  if (nanos < 1e6) {
    const fraction = nanos % 1e3;
    return `${pointed((nanos - fraction) / 1e3, fraction, 3)}\u00b5s`;
  }
  const fraction = nanos % 1e6;
  return `${pointed((nanos - fraction) / 1e6, fraction, 6)}ms`;
}

/** `fraction` in so many places behind the point, without zeros at the end. */
function pointed(whole: number, fraction: number, places: number): string {
  if (fraction === 0) return String(whole);
  let digits = fraction;
  let left = places;
  for (; digits % 10 === 0; left--) digits /= 10;
  let text = String(digits);
  while (text.length < left) text = `0${text}`;
  return `${whole}.${text}`;
}
