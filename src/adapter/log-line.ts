/**
 * Entries of a log as lines, JSON or text, in the forms that the original's users parse:
 *
 *   {"level":"warn","time":"2017-08-21T10:04:00.000000Z","instance":"log.logentry.default","a":1}
 *   2017-08-21T10:04:00.000000Z <tab> warn <tab> log.logentry.default <tab> {"a": 1}
 */
import type { Timestamp, TypedValue } from "../attribute/value.ts";
import { valueJson } from "../policy/instance-json.ts";
import type { Dimensions } from "../policy/template.ts";
import { timestampText } from "../policy/value-text.ts";

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
  const texts = value === undefined ? [] : [`"value"${colon}${valueJson(value)}`];
  for (const name of Object.keys(fields).sort())
    texts.push(`${JSON.stringify(name)}${colon}${valueJson(fields[name])}`);
  return texts;
}
