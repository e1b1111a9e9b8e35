/** What a list holds, read from lines or YAML, and whether a value is on it. */
import { RE2JS } from "re2js";
import { parse } from "yaml";
import { parseIpAddress } from "../attribute/ip-address.ts";
import type { TypedValue } from "../attribute/value.ts";
import { valueText } from "../policy/value-text.ts";
import { IpPrefixSet, parseIpPrefix } from "./ip-prefix-set.ts";

export const entryTypes = ["STRINGS", "CASE_INSENSITIVE_STRINGS", "IP_ADDRESSES", "REGEX"] as const;

export type EntryType = (typeof entryTypes)[number];

export interface Entries {
  readonly size: number;
  /** "invalid": the value is not of the kind that is listed. */
  has(value: TypedValue | undefined): boolean | "invalid";
}

/** What is wrong with the text of one entry; undefined: nothing. */
export function entryProblem(type: EntryType, text: string): string | undefined {
  if (type === "IP_ADDRESSES" && parseIpPrefix(text) === undefined)
    return `could not parse ip address override ${text}: it is no address and no network`;
  return type === "REGEX" ? regexProblem(text) : undefined;
}

/** An entry with a problem is a TypeError: readers have asked entryProblem before. */
export function compileEntries(type: EntryType, texts: readonly string[]): Entries {
  switch (type) {
    case "STRINGS": {
      const known = new Set(texts);
      return { size: known.size, has: (value) => known.has(valueText(value)) };
    }
    case "CASE_INSENSITIVE_STRINGS": {
      const known = new Set(texts.map(foldCase));
      return { size: known.size, has: (value) => known.has(foldCase(valueText(value))) };
    }
    case "IP_ADDRESSES": {
      const distinct = new Set(texts);
      const known = new IpPrefixSet(Array.from(distinct, parsePrefix));
      return { size: distinct.size, has: (value) => hasAddress(known, value) };
    }
    case "REGEX": {
      const distinct = new Set(texts);
      const known = Array.from(distinct, (text) => RE2JS.compile(text));
      return {
        size: distinct.size,
        has: (value) => {
          const text = valueText(value);
          return known.some((pattern) => pattern.matcher(text).find());
        },
      };
    }
    default:
      return type satisfies never;
  }
}

function parsePrefix(text: string) {
  const prefix = parseIpPrefix(text);
  if (prefix === undefined) throw new TypeError(`${text} is no address and no network`);
  return prefix;
}

function hasAddress(known: IpPrefixSet, value: TypedValue | undefined): boolean | "invalid" {
  const octets = value?.type === "IP_ADDRESS" ? value.value : parseIpAddress(valueText(value));
  return octets?.length === 4 || octets?.length === 16 ? known.has(octets) : "invalid";
}

/** Letter by letter, as Go's ToUpper: "ß" stays itself and is not "SS". */
export function foldCase(text: string): string {
  if (/^[\u0000-\u007f]*$/.test(text)) return text.toUpperCase();
  return Array.from(text, (letter) => {
    const upper = letter.toUpperCase();
    return upper.length === letter.length ? upper : letter;
  }).join("");
}

/** Each costs every value that is checked. */
const regexesMax = 1_000;
const regexLengthMax = 1_024;

function regexProblem(text: string): string | undefined {
  if (text.length > regexLengthMax)
    return `could not parse regex override of more than ${regexLengthMax} characters`;
  try {
    RE2JS.compile(text);
    return undefined;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    return `could not parse regex override ${text}: ${why}`;
  }
}

/** Of a list that is fetched. */
export const linesMax = 1_000_000;

/**
 * The entries of a fetched list: one a line, without blanks around it; of addresses also YAML with
 * a key `whitelist`. A text: what is wrong with it.
 */
export function readList(type: EntryType, body: string): readonly string[] | string {
  const listed = type === "IP_ADDRESSES" ? yamlList(body) : undefined;
  const entries = listed ?? lines(body);
  if (typeof entries === "string") return entries;
  const most = type === "REGEX" ? regexesMax : linesMax;
  if (entries.length > most) return `has more than ${most} entries`;
  for (const entry of entries) {
    const problem = entryProblem(type, entry);
    if (problem !== undefined) return problem.replace(" override ", " ").slice(0, 200);
  }
  return entries;
}

function lines(body: string): readonly string[] {
  return body
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

/** Characters of a list in YAML, whose parser takes its time: a long one is in lines or JSON. */
const yamlMax = 256 * 1024;
const yamlDepthMax = 20;

/** Undefined: it is not a map. */
function yamlList(body: string): readonly string[] | string | undefined {
  const isJson = body.trimStart().startsWith("{");
  if (!isJson && !/^\s*["']?[A-Za-z]\w*["']?\s*:\s/m.test(body)) return undefined;
  let document: unknown;
  try {
    document = isJson ? JSON.parse(body) : parseYaml(body);
  } catch {
    return isJson ? "is not JSON" : "is not YAML";
  }
  if (typeof document === "string") return document;
  if (typeof document !== "object" || document === null || Array.isArray(document))
    return undefined;
  for (const [key, value] of Object.entries(document))
    if (key.toLowerCase() === "whitelist" && Array.isArray(value))
      return value.every((entry) => typeof entry === "string")
        ? (value as readonly string[])
        : "has entries in whitelist that are not texts";
  return "has no whitelist";
}

/** A text: why it is not even tried. */
function parseYaml(body: string): unknown {
  if (body.length > yamlMax)
    return `is longer than ${yamlMax} characters of YAML: write one a line, or JSON`;
  let depth = 0;
  for (const [bracket] of body.matchAll(/[[\]{}]/g)) {
    depth += bracket === "[" || bracket === "{" ? 1 : -1;
    if (depth > yamlDepthMax) return "is YAML that nests too deeply";
  }
  // At "silent" it would not throw, and half a list would do for a whole one.
  return parse(body, { logLevel: "error", maxAliasCount: 0 });
}
