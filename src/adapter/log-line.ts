/**
 * Entries of a log as lines, JSON or text, in the forms that the original's users parse:
 *
 *   {"level":"warn","time":"2017-08-21T10:04:00.000000Z","instance":"log.logentry.default","a":1}
 *   2017-08-21T10:04:00.000000Z <tab> warn <tab> log.logentry.default <tab> {"a": 1}
 */
import type { Timestamp, TypedValue } from "../attribute/value.ts";
import type { Dimensions } from "../policy/template.ts";
import { plainNumber, timestampText, valueText } from "../policy/value-text.ts";

export type LogLevel = "INFO" | "WARNING" | "ERROR";

export interface LogEntry {
  readonly level: LogLevel;
  /** Absent: the year 1, as a zero time is written. */
  readonly time: Timestamp | undefined;
  readonly instance: string;
  /** Before the others. */
  readonly value?: TypedValue;
  readonly fields: Dimensions;
}

const words: Readonly<Record<LogLevel, string>> = { INFO: "info", WARNING: "warn", ERROR: "error" };
const zeroTime: Timestamp = { seconds: -62_135_596_800, nanos: 0 };

/** With its end of line. Names are sorted. */
export function jsonLine(entry: LogEntry): string {
  const { level, time, instance } = entry;
  const head = `"level":"${words[level]}","time":"${timestampText(time ?? zeroTime)}"`;
  const fields = fieldTexts(entry, ":").map((field) => `,${field}`);
  return `{${head},"instance":${JSON.stringify(instance)}${fields.join("")}}\n`;
}

export function textLine(entry: LogEntry): string {
  const { level, time, instance } = entry;
  const name = instance.replace(/[\t\n\r]/g, " ");
  const fields = fieldTexts(entry, ": ").join(", ");
  const head = `${timestampText(time ?? zeroTime)}\t${words[level]}\t${name}`;
  return fields === "" ? `${head}\n` : `${head}\t{${fields}}\n`;
}

function fieldTexts({ value, fields }: LogEntry, colon: string): string[] {
  const texts = value === undefined ? [] : [`"value"${colon}${jsonValue(value)}`];
  for (const name of Object.keys(fields).sort())
    texts.push(`${JSON.stringify(name)}${colon}${jsonValue(fields[name])}`);
  return texts;
}

/** Numbers and booleans as such, maps as objects, the rest as text. */
export function jsonValue(of: TypedValue | undefined): string {
  switch (of?.type) {
    case undefined:
      return "null";
    case "INT64":
    case "BOOL":
      return String(of.value);
    case "DOUBLE":
      return Number.isFinite(of.value) ? plainNumber(of.value) : `"${plainNumber(of.value)}"`;
    case "STRING_MAP": {
      const entries = [...of.value.entries()].sort(([a], [b]) => (a < b ? -1 : 1));
      const pairs = entries.map(
        ([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`,
      );
      return `{${pairs.join(",")}}`;
    }
    default:
      return JSON.stringify(valueText(of));
  }
}
