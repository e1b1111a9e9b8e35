/**
 * Entries of a log as lines, JSON or text, in the forms that the original's users parse:
 *
 *   {"level":"warn","time":"2017-08-21T10:04:00.000000Z","instance":"log.logentry.default","a":1}
 *   2017-08-21T10:04:00.000000Z <tab> warn <tab> log.logentry.default <tab> {"a": 1}
 */
import type { Timestamp, TypedValue } from "../attribute/value.ts";
import { isPlainText, valueJson } from "../policy/instance-json.ts";
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

/** What lines of one instance have in common: it has the same names each time, in one order. */
interface Layout {
  /** As JSON. */
  readonly instance: string;
  names: readonly string[];
  sorted: readonly string[];
  /** In the order of `sorted`: `,"name":`. */
  heads: readonly string[];
}

/** Instances are what is configured; more of them than this are written without being kept. */
const LAYOUTS_MAX = 1_000;

export class LineFormat {
  readonly #layouts = new Map<string, Layout>();
  #second = Number.NaN;
  /** Of that second, to its point. */
  #secondText = "";

  /** With its end of line. Names are sorted. */
  json(entry: LogEntry): string {
    const { level, time, instance, value, fields } = entry;
    const { instance: name, sorted, heads } = this.#layoutOf(instance, fields);
    let line = `{"level":"${words[level]}","time":"${this.#time(time)}","instance":${name}`;
    if (value !== undefined) line += `,"value":${valueJson(value)}`;
    for (let i = 0; i < sorted.length; i++) {
      const of = fields[sorted[i]!];
      // As few parts as can be: each costs again when the line is put together.
      if (of?.type === "STRING" && isPlainText(of.value)) line += `${heads[i]!}"${of.value}"`;
      else line += heads[i]! + valueJson(of);
    }
    return `${line}}\n`;
  }

  text(entry: LogEntry): string {
    const { level, time, instance, value, fields } = entry;
    const { sorted, heads } = this.#layoutOf(instance, fields);
    const name = instance.replace(/[\t\n\r]/g, " ");
    const texts = sorted.map((field, i) => `${heads[i]!.slice(1)} ${valueJson(fields[field])}`);
    if (value !== undefined) texts.unshift(`"value": ${valueJson(value)}`);
    const head = `${this.#time(time)}\t${words[level]}\t${name}`;
    return texts.length === 0 ? `${head}\n` : `${head}\t{${texts.join(", ")}}\n`;
  }

  #layoutOf(instance: string, fields: Dimensions): Layout {
    let layout = this.#layouts.get(instance);
    if (layout === undefined) {
      layout = { instance: JSON.stringify(instance), names: [], sorted: [], heads: [] };
      if (this.#layouts.size < LAYOUTS_MAX) this.#layouts.set(instance, layout);
    }
    let count = 0;
    let isSame = true;
    for (const name in fields) if (layout.names[count++] !== name) isSame = false;
    if (isSame && count === layout.names.length) return layout;
    layout.names = Object.keys(fields);
    layout.sorted = layout.names.toSorted();
    layout.heads = layout.sorted.map((name) => `,${JSON.stringify(name)}:`);
    return layout;
  }

  /** As `timestampText`; most lines are of the second of the line before. */
  #time(time: Timestamp = zeroTime): string {
    if (time.seconds !== this.#second) {
      this.#second = time.seconds;
      this.#secondText = timestampText(time).slice(0, 20);
    }
    const micros = 1_000_000 + Math.floor(time.nanos / 1_000);
    return `${this.#secondText}${String(micros).slice(1)}Z`;
  }
}
