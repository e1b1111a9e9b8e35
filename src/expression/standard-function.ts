/** The functions that expressions may call, with their types. */
import { RE2JS } from "re2js";
import { byteLength } from "../attribute/byte-text.ts";
import { Fault } from "../attribute/fault.ts";
import { parseIpAddress } from "../attribute/ip-address.ts";
import { parseTimestamp } from "../attribute/timestamp.ts";
import type { Value, ValueType } from "../attribute/value.ts";
import { dnsNameFault, emailFault, uriFault } from "./name.ts";

export interface StandardFunction {
  /** Type of what it is called on; undefined: it is not called on anything. */
  readonly target?: ValueType;
  /** "T": any one type, the same each time. */
  readonly args: readonly (ValueType | "T")[];
  readonly returns: ValueType | "T";
  /** A target comes first. */
  run(...args: never[]): Value | Fault;
}

/** Longer patterns come from nobody who writes them. */
const PATTERN_MAX = 1_000;
const emptyMap: ReadonlyMap<string, string> = new Map();

/** Trailing star: a beginning; else leading star: an end; else all of it. */
export function compileGlob(pattern: string): (text: Value) => boolean {
  const start = pattern.endsWith("*") ? pattern.slice(0, -1) : undefined;
  if (start !== undefined) return (text) => (text as string).startsWith(start);
  const end = pattern.startsWith("*") ? pattern.slice(1) : undefined;
  if (end !== undefined) return (text) => (text as string).endsWith(end);
  return (text) => text === pattern;
}

/** RE2, somewhere in the text: linear in it whatever the pattern. */
export function compileRegex(pattern: string): RE2JS | Fault {
  if (pattern.length > PATTERN_MAX)
    return new Fault(`regular expression of more than ${PATTERN_MAX} characters`);
  try {
    return RE2JS.compile(pattern);
  } catch (error) {
    return new Fault(error instanceof Error ? error.message : String(error));
  }
}

/** Each character by its simple mapping: no final sigma, no dot that becomes two. */
function toLower(text: string): string {
  if (/^[\x00-\x7f]*$/.test(text)) return text.toLowerCase();
  let lower = "";
  for (const character of text)
    lower += String.fromCodePoint(character.toLowerCase().codePointAt(0)!);
  return lower;
}

const text = (fault: string | undefined, prefix: string, value: string): string | Fault =>
  fault === undefined ? value : new Fault(`${prefix}'${fault}'`);

export const standardFunctions: ReadonlyMap<string, StandardFunction> = new Map(
  Object.entries<StandardFunction>({
    match: {
      args: ["STRING", "STRING"],
      returns: "BOOL",
      run: (text: string, pattern: string) => compileGlob(pattern)(text),
    },
    matches: {
      target: "STRING",
      args: ["STRING"],
      returns: "BOOL",
      run: (pattern: string, value: string) => {
        const regex = compileRegex(pattern);
        return regex instanceof Fault ? regex : regex.matcher(value).find();
      },
    },
    startsWith: {
      target: "STRING",
      args: ["STRING"],
      returns: "BOOL",
      run: (value: string, start: string) => value.startsWith(start),
    },
    endsWith: {
      target: "STRING",
      args: ["STRING"],
      returns: "BOOL",
      run: (value: string, end: string) => value.endsWith(end),
    },
    ip: {
      args: ["STRING"],
      returns: "IP_ADDRESS",
      run: (value: string) =>
        parseIpAddress(value) ?? new Fault(`could not convert ${value} to IP_ADDRESS`),
    },
    timestamp: {
      args: ["STRING"],
      returns: "TIMESTAMP",
      run: (value: string) =>
        parseTimestamp(value) ??
        new Fault(
          `could not convert '${value}' to TIMESTAMP. expected format: '2006-01-02T15:04:05Z07:00'`,
        ),
    },
    dnsName: {
      args: ["STRING"],
      returns: "DNS_NAME",
      run: (value: string) =>
        text(dnsNameFault(value), `error converting '${value}' to dns name: `, value),
    },
    email: {
      args: ["STRING"],
      returns: "EMAIL_ADDRESS",
      run: (value: string) =>
        text(emailFault(value), `error converting '${value}' to e-mail: `, value),
    },
    uri: {
      args: ["STRING"],
      returns: "URI",
      run: (value: string) => {
        const fault = uriFault(value);
        return fault === undefined ? value : new Fault(fault);
      },
    },
    emptyStringMap: { args: [], returns: "STRING_MAP", run: () => emptyMap },
    conditionalString: {
      args: ["BOOL", "STRING", "STRING"],
      returns: "STRING",
      run: (condition: boolean, yes: string, no: string) => (condition ? yes : no),
    },
    toLower: { args: ["STRING"], returns: "STRING", run: toLower },
    size: { args: ["STRING"], returns: "INT64", run: byteLength },
  }),
);
