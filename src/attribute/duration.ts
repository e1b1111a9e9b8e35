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
  const value = BigInt(ns);
  const size = value < 0n ? -value : value;
  const sign = value < 0n ? "-" : "";
  if (size === 0n) return "0s";
  if (size < 1_000n) return `${sign}${size}ns`;
  if (size < 1_000_000n) return `${sign}${decimal(size, 3)}\u00b5s`;
  if (size < SECOND_NS) return `${sign}${decimal(size, 6)}ms`;
  const minutes = size / (60n * SECOND_NS);
  const seconds = `${decimal(size % (60n * SECOND_NS), 9)}s`;
  if (minutes === 0n) return sign + seconds;
  if (minutes < 60n) return `${sign}${minutes}m${seconds}`;
  return `${sign}${minutes / 60n}h${minutes % 60n}m${seconds}`;
}

/** `value` with the point moved `places` to the left, without zeros at the end. */
function decimal(value: bigint, places: number): string {
  const digits = value.toString().padStart(places + 1, "0");
  const fraction = digits.slice(-places).replace(/0+$/, "");
  return digits.slice(0, -places) + (fraction === "" ? "" : `.${fraction}`);
}
