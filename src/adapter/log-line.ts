/**
 * Entries of a log as lines, JSON or text, in the forms that the original's users parse:
 *
 *   {"level":"warn","time":"2017-08-21T10:04:00.000000Z","instance":"log.logentry.default","a":1}
 *   2017-08-21T10:04:00.000000Z <tab> warn <tab> log.logentry.default <tab> {"a": 1}
 */
import { formatDuration } from "../attribute/duration.ts";
import type { Timestamp, TypedValue } from "../attribute/value.ts";
import { valueJson } from "../policy/instance-json.ts";
import type { Dimensions } from "../policy/template.ts";
import { timestampText } from "../policy/value-text.ts";
import { type LineBytes, TextPiece } from "./line-bytes.ts";

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
  heads: readonly TextPiece[];
  former: FormerLine;
}

/** The line before of one instance: what has not changed is copied from it. */
interface FormerLine {
  /** Where it still is, if that is in the same round. */
  bytes: LineBytes | undefined;
  round: number;
  /** In the order of `sorted`. */
  readonly values: (TypedValue | undefined)[];
  /** Where each field begins, and the last one ends. */
  offsets: Uint32Array;
  /** For the offsets of the next line. */
  spare: Uint32Array;
}

/** Instances are what is configured; more of them than this are written without being kept. */
const LAYOUTS_MAX = 1_000;

export class LineFormat {
  readonly #layouts = new Map<string, Layout>();
  #second = Number.NaN;
  /** Of that second, to its point. */
  #secondText = "";

  /** With its end of line; the position after it. Names are sorted. */
  json(entry: LogEntry, out: LineBytes): number {
    const { level, time, instance, value, fields } = entry;
    const layout = this.#layoutOf(instance, fields);
    const { instance: name, sorted, heads, former } = layout;
    let line = `{"level":"${words[level]}","time":"${this.#time(time)}","instance":${name}`;
    if (value !== undefined) line += `,"value":${valueJson(value)}`;
    let at = out.putText(out.length, line);
    const { values, offsets, spare } = former;
    // A line that was too much lies where this one will.
    const isThere =
      former.bytes === out && former.round === out.round && offsets[sorted.length]! < out.length;
    /** Fields from here on are those of the line before, and not copied yet. */
    let same = 0;
    for (let i = 0; i < sorted.length; i++) {
      const of = fields[sorted[i]!];
      if (isThere && of !== undefined && isSame(of, values[i])) {
        spare[i] = at + offsets[i]! - offsets[same]!;
        continue;
      }
      if (same < i) at = out.putAgain(at, offsets[same]!, offsets[i]!);
      same = i + 1;
      spare[i] = at;
      values[i] = of;
      at = this.#put(out, out.putPiece(at, heads[i]!), of);
    }
    if (same < sorted.length) at = out.putAgain(at, offsets[same]!, offsets[sorted.length]!);
    spare[sorted.length] = at;
    former.bytes = out;
    former.round = out.round;
    former.offsets = spare;
    former.spare = offsets;
    return out.putText(at, "}\n");
  }

  text(entry: LogEntry): string {
    const { level, time, instance, value, fields } = entry;
    const { sorted, heads } = this.#layoutOf(instance, fields);
    const name = instance.replace(/[\t\n\r]/g, " ");
    const texts = sorted.map(
      (field, i) => `${heads[i]!.text.slice(1)} ${valueJson(fields[field])}`,
    );
    if (value !== undefined) texts.unshift(`"value": ${valueJson(value)}`);
    const head = `${this.#time(time)}\t${words[level]}\t${name}`;
    return texts.length === 0 ? `${head}\n` : `${head}\t{${texts.join(", ")}}\n`;
  }

  #layoutOf(instance: string, fields: Dimensions): Layout {
    let layout = this.#layouts.get(instance);
    if (layout === undefined) {
      const former = formerLine(0);
      layout = { instance: JSON.stringify(instance), names: [], sorted: [], heads: [], former };
      if (this.#layouts.size < LAYOUTS_MAX) this.#layouts.set(instance, layout);
    }
    let count = 0;
    let isSame = true;
    for (const name in fields) if (layout.names[count++] !== name) isSame = false;
    if (isSame && count === layout.names.length) return layout;
    layout.names = Object.keys(fields);
    layout.sorted = layout.names.toSorted();
    layout.heads = layout.sorted.map((name) => new TextPiece(`,${JSON.stringify(name)}:`));
    layout.former = formerLine(layout.sorted.length);
    return layout;
  }

  #put(out: LineBytes, at: number, of: TypedValue | undefined): number {
    switch (of?.type) {
      case "STRING": {
        const end = out.putPlain(at, of.value);
        return end === -1 ? out.putText(at, valueJson(of)) : end;
      }
      case "INT64":
        return typeof of.value === "number" && of.value >= 0
          ? out.putInteger(at, of.value)
          : out.putText(at, valueJson(of));
      case "TIMESTAMP":
        return out.putPlain(at, this.#time(of.value));
      case "DURATION": {
        const end = out.putPlain(at, formatDuration(of.value));
        return end === -1 ? out.putText(at, valueJson(of)) : end;
      }
      default:
        return out.putText(at, valueJson(of));
    }
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

function formerLine(fields: number): FormerLine {
  return {
    bytes: undefined,
    round: 0,
    values: new Array<TypedValue | undefined>(fields).fill(undefined),
    offsets: new Uint32Array(fields + 1),
    spare: new Uint32Array(fields + 1),
  };
}

/** Written alike for certain. A map may be a view of something else by now. */
function isSame(one: TypedValue, other: TypedValue | undefined): boolean {
  return (
    Object.is(one.value, other?.value) && one.type === other?.type && one.type !== "STRING_MAP"
  );
}
