/**
 * An access log that people can listen to while it is written: each tap gets every line as JSON.
 * Without a file it only feeds its taps.
 */
import { JsonEncoding, LINE_BYTES_MAX } from "../../telemetry/access-line.ts";
import { AccessLog, type AccessLogOptions, type LineSink } from "../../telemetry/access-log.ts";
import type { AccessRecord } from "../../telemetry/access-record.ts";
import { LineBuffer } from "../../telemetry/line-buffer.ts";

/** Gets one line, without its end. */
export type Tap = (line: string) => void;

export interface TappedOptions extends Omit<AccessLogOptions, "sink"> {
  /** Undefined: no file. */
  readonly sink: LineSink | undefined;
  /** Changes while the log is in use. */
  readonly taps: ReadonlySet<Tap>;
}

const nowhere: LineSink = {
  write: (_bytes, done) => done(true),
  writeSync: () => true,
};

export class TappedAccessLog extends AccessLog {
  readonly #taps: ReadonlySet<Tap>;
  readonly #hasFile: boolean;
  readonly #encoding = new JsonEncoding();
  #line: LineBuffer | undefined;

  constructor({ sink, taps, ...options }: TappedOptions) {
    super({ ...options, sink: sink ?? nowhere });
    this.#taps = taps;
    this.#hasFile = sink !== undefined;
  }

  override write(record: AccessRecord): void {
    if (this.#taps.size > 0) this.#feed(record);
    if (this.#hasFile) super.write(record);
    else this.release(record);
  }

  #feed(record: AccessRecord): void {
    this.#line ??= new LineBuffer(LINE_BYTES_MAX);
    this.#line.length = 0;
    this.#encoding.encode(this.#line, record);
    const text = this.#line.bytes.toString("utf8", 0, this.#line.length).trimEnd();
    for (const tap of this.#taps) tap(text);
  }
}
