/** Values of the adapters' vectors, which carry the names of Go's types. */

import { parseIpAddress } from "../../attribute/ip-address.ts";
import { type TypedValue, toInt64 } from "../../attribute/value.ts";
import { parseDuration } from "../../model/validate-duration.ts";
import type { Dimensions } from "../../policy/template.ts";

export interface VectorValue {
  readonly type: string;
  readonly value?: unknown;
  readonly hex?: string;
  readonly ns?: string;
}

/** Bytes that stand in a field of any type are an address. */
export function toTypedValue(vector: VectorValue | null | undefined): TypedValue | undefined {
  if (vector === null || vector === undefined) return undefined;
  const { type, value } = vector;
  switch (type) {
    case "INT64":
    case "GO_INT":
      return { type: "INT64", value: toInt64(BigInt(String(value))) };
    case "DOUBLE":
      return { type: "DOUBLE", value: Number(value) };
    case "BOOL":
      return { type: "BOOL", value: value === true };
    case "TIMESTAMP":
      return { type: "TIMESTAMP", value: toTimestamp(String(value)) };
    case "IP_ADDRESS":
    case "BYTES":
      return { type: "IP_ADDRESS", value: octetsOf(vector) };
    case "DURATION":
      return { type, value: toInt64(durationOf(vector)) };
    case "STRING_MAP":
      return { type, value: new Map(Object.entries((value ?? {}) as Record<string, string>)) };
    case "STRING":
    case "EMAIL_ADDRESS":
    case "URI":
    case "DNS_NAME":
      return { type, value: String(value) };
    default:
      throw new TypeError(`no value of ours has the type ${type}`);
  }
}

export function toDimensions(vector: Readonly<Record<string, VectorValue | string>>): Dimensions {
  return Object.fromEntries(
    Object.entries(vector).map(([name, of]) => [
      name,
      typeof of === "string"
        ? ({ type: "STRING", value: of } as const)
        : (toTypedValue(of) as TypedValue),
    ]),
  );
}

export function toTimestamp(text: string): { readonly seconds: number; readonly nanos: number } {
  const [, whole = "", fraction = "", zone = "Z"] =
    /^([^.Z+]*T[\d:]+)(?:\.(\d+))?(.*)$/.exec(text) ?? [];
  return {
    seconds: Date.parse(`${whole}${zone}`) / 1_000,
    nanos: Number(fraction.padEnd(9, "0").slice(0, 9)),
  };
}

function octetsOf({ hex, value }: VectorValue): Uint8Array {
  if (hex !== undefined) return Uint8Array.fromHex(hex);
  return parseIpAddress(String(value)) ?? new Uint8Array();
}

function durationOf({ ns, value }: VectorValue): bigint {
  return ns === undefined ? (parseDuration(String(value)) ?? 0n) : BigInt(ns);
}
