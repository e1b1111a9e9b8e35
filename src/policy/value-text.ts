/**
 * Values as text: for labels, counter keys and log fields, and compared with what an operator
 * wrote ("5", "1000ms", "a=b&c=d"). The forms are those of the original's adapters.
 */
import { formatDuration } from "../attribute/duration.ts";
import { formatIpAddress, ipAddressesEqual, parseIpAddress } from "../attribute/ip-address.ts";
import type { StringMap, Timestamp, TypedValue } from "../attribute/value.ts";
import { parseDuration } from "../model/validate-duration.ts";

/** "" for what is absent; a map as "a=b&c=d", sorted. */
export function valueText(of: TypedValue | undefined): string {
  if (of === undefined) return "";
  switch (of.type) {
    case "INT64":
    case "BOOL":
      return String(of.value);
    case "DOUBLE":
      return plainNumber(of.value);
    case "TIMESTAMP":
      return timestampText(of.value);
    case "IP_ADDRESS":
      return of.value.length === 0 ? "" : formatIpAddress(of.value);
    case "DURATION":
      return formatDuration(of.value);
    case "STRING_MAP":
      return mapText(of.value);
    case "STRING":
    case "EMAIL_ADDRESS":
    case "URI":
    case "DNS_NAME":
      return of.value;
    default:
      return of satisfies never;
  }
}

/**
 * Whether two values are the same when one of them may be the other's text. Text is read as the
 * other's type, so that "1000ms" is a second, "5.0" the double 5, and "TRUE" true.
 */
export function sameText(a: TypedValue | undefined, b: TypedValue | undefined): boolean {
  if (isText(a)) return textEquals(a?.value ?? "", b);
  if (isText(b)) return textEquals(b?.value ?? "", a);
  if (a?.type === "IP_ADDRESS" && b?.type === "IP_ADDRESS")
    return ipAddressesEqual(a.value, b.value);
  return valueText(a) === valueText(b);
}

type Textual = Extract<TypedValue, { readonly value: string }>;

function isText(of: TypedValue | undefined): of is Textual | undefined {
  return of === undefined || typeof of.value === "string";
}

/** Absent is the empty text. */
export function textEquals(text: string, of: TypedValue | undefined): boolean {
  switch (of?.type) {
    case "INT64":
      return /^[-+]?\d{1,19}$/.test(text) && BigInt(text.replace("+", "")) === BigInt(of.value);
    case "DOUBLE":
      return readDouble(text) === of.value;
    case "BOOL":
      return (of.value ? TRUE : FALSE).has(text);
    case "IP_ADDRESS": {
      const octets = parseIpAddress(text);
      return octets === undefined ? text === valueText(of) : ipAddressesEqual(octets, of.value);
    }
    case "DURATION":
      return parseDuration(text) === BigInt(of.value);
    case "TIMESTAMP":
      return of.value.nanos % 1_000 === 0 && timestampText(of.value) === text;
    case "STRING_MAP":
      return mapEquals(text, of.value);
    default:
      return text === (of?.value ?? "");
  }
}

const TRUE: ReadonlySet<string> = new Set(["1", "t", "T", "TRUE", "true", "True"]);
const FALSE: ReadonlySet<string> = new Set(["0", "f", "F", "FALSE", "false", "False"]);

function readDouble(text: string): number | undefined {
  const plain = /^[-+]?(\d+(\.\d*)?|\.\d+)(e[-+]?\d+)?$/i.test(text) && text.length <= 400;
  return plain ? Number(text) : undefined;
}

function mapEquals(text: string, map: StringMap): boolean {
  const wanted = new Map(
    text === ""
      ? []
      : text.split("&").map((pair) => {
          const at = pair.indexOf("=");
          return at === -1 ? [pair, ""] : [pair.slice(0, at), pair.slice(at + 1)];
        }),
  );
  const entries = [...map.entries()];
  return (
    entries.length === wanted.size && entries.every(([key, value]) => wanted.get(key) === value)
  );
}

/** Keys in the order of their code units. */
function mapText(map: StringMap): string {
  return [...map.entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${value}`)
    .join("&");
}

/** "2013-02-03T00:00:00.000000Z": always to the microsecond, which cuts off what is finer. */
export function timestampText({ seconds, nanos }: Timestamp): string {
  const date = new Date(seconds * 1_000);
  const whole = Number.isNaN(date.getTime()) ? "0001-01-01T00:00:00" : date.toISOString();
  const micros = String(Math.floor(nanos / 1_000)).padStart(6, "0");
  return `${whole.slice(0, 19)}.${micros}Z`;
}

/** As few digits as tell it apart, and never an exponent. */
export function plainNumber(value: number): string {
  const text = Object.is(value, -0) ? "-0" : String(value);
  if (!text.includes("e")) {
    if (Number.isFinite(value)) return text;
    return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
  }
  const [, sign = "", whole = "", fraction = "", exponent = ""] =
    /^(-?)(\d)(?:\.(\d+))?e([-+]\d+)$/.exec(text) ?? [];
  const digits = whole + fraction;
  const point = 1 + Number(exponent);
  if (point <= 0) return `${sign}0.${"0".repeat(-point)}${digits}`;
  return `${sign}${digits.padEnd(point, "0")}`;
}
