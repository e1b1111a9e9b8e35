/**
 * Attributes as an operator gives them: the flags of the original's mixc, `-s name=value,…`, and a
 * file of YAML or JSON, whose values have the type that the attribute is declared with.
 */
import { readFileSync } from "node:fs";
import type { ArgsDef } from "citty";
import { parse } from "yaml";
import { carrierOf, type WireValue } from "../attribute/bag.ts";
import { parseDuration } from "../attribute/duration.ts";
import { parseIpAddress } from "../attribute/ip-address.ts";
import { parseTimestamp } from "../attribute/timestamp.ts";
import { toInt64, type ValueType } from "../attribute/value.ts";
import type { Vocabulary } from "../attribute/vocabulary.ts";
import { CtlError, usageError } from "./command.ts";

const list = (alias: string, what: string) =>
  ({ type: "string", alias, valueHint: "NAME=VALUE,…", description: what }) as const;
const longList = (what: string) =>
  ({ type: "string", valueHint: "NAME=VALUE,…", description: what }) as const;

export const attributeFlags = {
  string_attributes: list("s", "Attributes that are text"),
  int64_attributes: list("i", "Whole numbers"),
  double_attributes: list("d", "Numbers"),
  bool_attributes: list("b", "true or false"),
  timestamp_attributes: list("t", "Points in time, as 2026-01-02T15:04:05Z"),
  duration_attributes: longList("Durations, as 1.5s"),
  bytes_attributes: longList("Octets, as 0a:00:00:01; addresses are 4 or 16 of them"),
  stringmap_attributes: longList("Maps, as name=key:value;key2:value2"),
  auto_attributes: list("a", "Of the first type that fits: whole number, number, …, text"),
  attributes: {
    type: "string",
    valueHint: "FILE",
    description: "Attributes as a map in YAML or JSON, of their declared types",
  },
} as const satisfies ArgsDef;

export type AttributeArgs = { readonly [K in keyof typeof attributeFlags]?: string | undefined };

type Read = (text: string) => WireValue | undefined;

const readers: Readonly<Record<string, Read>> = {
  string_attributes: (text) => ({ type: "STRING", value: text }),
  int64_attributes: readInt,
  double_attributes: readDouble,
  bool_attributes: readBool,
  timestamp_attributes: readTimestamp,
  duration_attributes: readDuration,
  bytes_attributes: readBytes,
  stringmap_attributes: readMap,
  auto_attributes: readAny,
};

/** By name; throws what is wrong with the first that is. */
export function readAttributes(
  args: AttributeArgs,
  vocabulary: Vocabulary,
): ReadonlyMap<string, WireValue> {
  const values = new Map<string, WireValue>();
  if (args.attributes !== undefined) readFile(args.attributes, vocabulary, values);
  for (const [flag, read] of Object.entries(readers))
    for (const [name, text] of pairsOf(flag, args[flag as keyof AttributeArgs])) {
      const value = read(text);
      if (value === undefined)
        throw usageError(`--${flag}: ${JSON.stringify(text)} is no value for ${name}`);
      values.set(name, value);
    }
  return values;
}

/** "a=1,b=2" */
export function pairsOf(flag: string, text: string | undefined): (readonly [string, string])[] {
  if (text === undefined || text === "") return [];
  return text.split(",").map((pair) => {
    const at = pair.indexOf("=");
    if (at <= 0) throw usageError(`--${flag}: ${JSON.stringify(pair)} is not NAME=VALUE`);
    return [pair.slice(0, at), pair.slice(at + 1)];
  });
}

function readFile(path: string, vocabulary: Vocabulary, values: Map<string, WireValue>): void {
  const document: unknown = parseFile(path);
  if (typeof document !== "object" || document === null || Array.isArray(document))
    throw new CtlError(`${path} is not a map of attributes`);
  for (const [name, written] of Object.entries(document)) {
    const declared = vocabulary.find(name)?.type;
    const value = declared === undefined ? formedValue(written) : typedValue(declared, written);
    if (value === undefined) {
      const wanted = declared === undefined ? "a value" : `of type ${declared}`;
      throw new CtlError(`${path}: ${name}: ${JSON.stringify(written)} is not ${wanted}`);
    }
    values.set(name, value);
  }
}

function parseFile(path: string): unknown {
  try {
    return parse(readFileSync(path, "utf8"), { logLevel: "silent" });
  } catch (cause) {
    throw new CtlError(`cannot read ${path}: ${cause instanceof Error ? cause.message : cause}`);
  }
}

/** Of what nobody declares: by its form. */
function formedValue(written: unknown): WireValue | undefined {
  switch (typeof written) {
    case "number":
      return Number.isInteger(written)
        ? { type: "INT64", value: written }
        : { type: "DOUBLE", value: written };
    case "boolean":
      return { type: "BOOL", value: written };
    case "string":
      return { type: "STRING", value: written };
    default:
      return mapValue(written);
  }
}

function typedValue(type: ValueType, written: unknown): WireValue | undefined {
  if (type === "STRING_MAP") return mapValue(written);
  const text = String(written);
  switch (carrierOf(type)) {
    case "STRING":
      return typeof written === "object" ? undefined : { type: "STRING", value: text };
    case "INT64":
      return readInt(text);
    case "DOUBLE":
      return readDouble(text);
    case "BOOL":
      return readBool(text);
    case "TIMESTAMP":
      return readTimestamp(written instanceof Date ? written.toISOString() : text);
    case "DURATION":
      return readDuration(text);
    default: {
      const octets = parseIpAddress(text);
      return octets === undefined ? readBytes(text) : { type: "BYTES", value: octets };
    }
  }
}

function mapValue(written: unknown): WireValue | undefined {
  if (typeof written !== "object" || written === null || Array.isArray(written)) return undefined;
  const pairs = Object.entries(written).map(([key, value]) => [key, String(value)] as const);
  return { type: "STRING_MAP", value: new Map(pairs) };
}

function readInt(text: string): WireValue | undefined {
  if (!/^[-+]?\d{1,19}$/.test(text)) return undefined;
  return { type: "INT64", value: toInt64(BigInt(text.replace("+", ""))) };
}

function readDouble(text: string): WireValue | undefined {
  const isNumber = /^[-+]?(\d+(\.\d*)?|\.\d+)(e[-+]?\d+)?$/i.test(text);
  return isNumber ? { type: "DOUBLE", value: Number(text) } : undefined;
}

function readBool(text: string): WireValue | undefined {
  return /^(true|false)$/.test(text) ? { type: "BOOL", value: text === "true" } : undefined;
}

function readTimestamp(text: string): WireValue | undefined {
  const value = parseTimestamp(text);
  return value && { type: "TIMESTAMP", value };
}

function readDuration(text: string): WireValue | undefined {
  const value = parseDuration(text);
  return value === undefined ? undefined : { type: "DURATION", value };
}

/** "0a:00:00:01" */
function readBytes(text: string): WireValue | undefined {
  if (!/^[0-9a-f]{1,2}(:[0-9a-f]{1,2})*$/i.test(text)) return undefined;
  const value = Uint8Array.from(text.split(":"), (pair) => Number.parseInt(pair, 16));
  return { type: "BYTES", value };
}

/** "key:value;key2:value2" */
function readMap(text: string): WireValue | undefined {
  const pairs = text.split(";").map((pair) => {
    const at = pair.indexOf(":");
    return at === -1 ? undefined : ([pair.slice(0, at), pair.slice(at + 1)] as const);
  });
  if (pairs.some((pair) => pair === undefined)) return undefined;
  return { type: "STRING_MAP", value: new Map(pairs.filter((pair) => pair !== undefined)) };
}

/** In the order in which mixc tries them; one octet pair alone is a number. */
function readAny(text: string): WireValue | undefined {
  const octets = text.includes(":") ? readBytes(text) : undefined;
  return (
    readInt(text) ??
    readDouble(text) ??
    readBool(text) ??
    readTimestamp(text) ??
    readDuration(text) ??
    octets ??
    readMap(text) ?? { type: "STRING", value: text }
  );
}
