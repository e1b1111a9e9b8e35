/**
 * One line for each exchange, encoded as bytes into one of two buffers. One fills while the other
 * is being written: when it is large enough, or 100 ms old. Nobody waits for the writing: when both
 * are full, lines are dropped and counted.
 */
import type { Clock } from "../core/clock.ts";
import { JsonEncoding, LINE_BYTES_MAX, type LineEncoder, TextEncoding } from "./access-line.ts";
import { AccessRecord } from "./access-record.ts";
import { LineBuffer } from "./line-buffer.ts";

export type AccessLogFormat = "text" | "json";

/** Where lines go; io/append-file.ts is one. */
export interface LineSink {
  /** Writes all of `bytes`, which stay untouched until `done`; one write at a time. */
  write(bytes: Uint8Array, done: (written: boolean) => void): void;
  /** The same, on return. */
  writeSync(bytes: Uint8Array): boolean;
}

export interface AccessLogOptions {
  readonly format: AccessLogFormat;
  readonly sink: LineSink;
  readonly clock: Clock;
}

const FLUSH_BYTES = 256 << 10;
const FLUSH_MS = 100;
const CLOSE_MS = 1_000;
/** What may wait while a write is under way: a buffer has more than it needs only after that. */
const WAITING_BYTES_MAX = 4 << 20;
const BUFFER_BYTES = FLUSH_BYTES + LINE_BYTES_MAX;
const BUFFER_BYTES_MAX = WAITING_BYTES_MAX + LINE_BYTES_MAX;
const SPARE_RECORDS_MAX = 1_024;

export class AccessLog {
  readonly #encoder: LineEncoder;
  readonly #sink: LineSink;
  readonly #clock: Clock;
  readonly #spare: AccessRecord[] = [];
  #filling = new LineBuffer(BUFFER_BYTES);
  #other = new LineBuffer(BUFFER_BYTES);
  #fillingLines = 0;
  #writing = false;
  #cancelTimer: (() => void) | undefined;
  #lines = 0;
  #dropped = 0;
  #whenIdle: (() => void) | undefined;

  constructor(options: AccessLogOptions) {
    this.#encoder = options.format === "json" ? new JsonEncoding() : new TextEncoding();
    this.#sink = options.sink;
    this.#clock = options.clock;
  }

  /** Lines encoded so far. */
  get lines(): number {
    return this.#lines;
  }

  /** Lines lost: the sink was too slow, or refused them. */
  get dropped(): number {
    return this.#dropped;
  }

  /** A clean record. */
  acquire(): AccessRecord {
    return this.#spare.pop() ?? new AccessRecord(this.#encoder.wanted);
  }

  /** Writes the line and takes the record back; it must not be touched afterwards. */
  write(record: AccessRecord): void {
    let out = this.#filling;
    if (out.room < LINE_BYTES_MAX && out.bytes.length < BUFFER_BYTES_MAX)
      this.#filling = out = grown(out);
    if (out.room < LINE_BYTES_MAX) this.#dropped++;
    else {
      this.#encoder.encode(out, record);
      this.#lines++;
      this.#fillingLines++;
      if (out.length >= FLUSH_BYTES) this.#flush();
      else if (this.#cancelTimer === undefined) this.#startTimer();
    }
    this.release(record);
  }

  /** Takes a record back without a line. */
  release(record: AccessRecord): void {
    record.reset();
    if (this.#spare.length < SPARE_RECORDS_MAX) this.#spare.push(record);
  }

  /** Resolves when everything written so far is with the sink, or a stuck sink was given up. */
  async close(): Promise<void> {
    let isLate = false;
    const cancel = this.#clock.after(CLOSE_MS, () => {
      isLate = true;
      this.#whenIdle?.();
    });
    while (!isLate && (this.#writing || this.#filling.length > 0)) {
      const idle = new Promise<void>((resolve) => {
        this.#whenIdle = resolve;
      });
      this.#flush();
      await idle;
    }
    cancel();
  }

  /** For the last moment of a process: does not wait for a write under way. */
  flushSync(): void {
    if (this.#filling.length === 0) return;
    const { bytes, length } = this.#filling;
    if (!this.#sink.writeSync(bytes.subarray(0, length))) this.#dropped += this.#fillingLines;
    this.#filling.length = 0;
    this.#fillingLines = 0;
  }

  #startTimer(): void {
    this.#cancelTimer = this.#clock.after(FLUSH_MS, () => {
      this.#cancelTimer = undefined;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#writing || this.#filling.length === 0) return;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const [full, lines] = [this.#filling, this.#fillingLines];
    this.#filling = this.#other;
    this.#other = full;
    this.#fillingLines = 0;
    this.#writing = true;
    this.#sink.write(full.bytes.subarray(0, full.length), (written) => {
      if (!written) this.#dropped += lines;
      full.length = 0;
      if (full.bytes.length > BUFFER_BYTES) this.#other = new LineBuffer(BUFFER_BYTES);
      this.#writing = false;
      if (this.#filling.length >= FLUSH_BYTES) this.#flush();
      else if (this.#filling.length > 0 && this.#cancelTimer === undefined) this.#startTimer();
      const idle = this.#whenIdle;
      this.#whenIdle = undefined;
      idle?.();
    });
  }
}

function grown(line: LineBuffer): LineBuffer {
  const size = Math.min(line.bytes.length * 2, BUFFER_BYTES_MAX);
  const larger = new LineBuffer(size);
  larger.bytes.set(line.bytes.subarray(0, line.length));
  larger.length = line.length;
  return larger;
}
