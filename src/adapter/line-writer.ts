/**
 * Lines on their way to a file or a standard stream: collected for 100 ms or 256 KiB, written while
 * nobody waits, dropped and counted when too many wait. A file may be rotated: before it grows over
 * its size it is renamed after the time, and old ones are removed by age and number.
 */
import { readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { basename, dirname, extname, join } from "node:path";
import type { Clock } from "../core/clock.ts";
import { AppendFile } from "../io/append-file.ts";
import { LineBytes } from "./line-bytes.ts";

export interface Rotation {
  readonly bytesMax: number;
  /** 0: of any age. */
  readonly ageMaxMs: number;
  /** 0: any number. */
  readonly filesMax: number;
}

export interface LineWriterOptions {
  /** "/dev/stdout", "/dev/stderr" or a file. */
  readonly path: string;
  readonly rotation?: Rotation;
  readonly clock: Clock;
  readonly onDropped: (lines: number) => void;
}

const FLUSH_MS = 100;
const FLUSH_BYTES = 256 * 1024;
const WAITING_BYTES_MAX = 4 * 1024 * 1024;

export class LineWriter {
  readonly #options: LineWriterOptions;
  readonly #file: AppendFile;
  /** One fills while the other is written. */
  #filling = new LineBytes();
  #other = new LineBytes();
  #lines = 0;
  #size: number;
  #writing = false;
  #closed = false;
  #cancelFlush: (() => void) | undefined;

  /** Throws the system's error if the file cannot be opened. */
  constructor(options: LineWriterOptions) {
    this.#options = options;
    this.#file = new AppendFile(options.path);
    this.#size = options.rotation === undefined ? 0 : sizeOf(options.path);
  }

  /** Where the next line is encoded, from its `length` on; until `end`. */
  begin(): LineBytes {
    return this.#filling;
  }

  /** The line ends before `at`. */
  end(at: number): void {
    const lines = this.#filling;
    if (this.#closed || at > WAITING_BYTES_MAX) return this.#options.onDropped(1);
    lines.length = at;
    this.#lines++;
    if (at >= FLUSH_BYTES) this.#flush();
    else this.#cancelFlush ??= this.#options.clock.after(FLUSH_MS, () => this.#flush());
  }

  /** What was written is in the file before it is closed. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelFlush?.();
    if (!this.#writing) this.#finish();
  }

  #finish(): void {
    if (this.#filling.length > 0) this.#file.writeSync(this.#filling.written());
    this.#filling.clear();
    this.#file.close();
  }

  #flush(): void {
    this.#cancelFlush?.();
    this.#cancelFlush = undefined;
    const full = this.#filling;
    if (this.#writing || full.length === 0) return;
    const count = this.#lines;
    this.#filling = this.#other;
    this.#other = full;
    this.#lines = 0;
    const bytes = full.written();
    this.#rotate(bytes.length);
    this.#size += bytes.length;
    this.#writing = true;
    this.#file.write(bytes, (written) => {
      this.#writing = false;
      full.clear();
      if (!written) this.#options.onDropped(count);
      if (this.#closed) this.#finish();
      else this.#flush();
    });
  }

  #rotate(more: number): void {
    const { rotation, path, clock } = this.#options;
    if (rotation === undefined || this.#size === 0 || this.#size + more <= rotation.bytesMax)
      return;
    try {
      renameSync(path, rotatedPath(path, clock.wallMs()));
      this.#file.reopen();
      this.#size = 0;
      removeOld(path, rotation, clock.wallMs());
    } catch {
      // A folder that became unwritable: the file goes on growing, which loses nothing.
    }
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** mesh.log ─▶ mesh-2026-01-01T00-00-00.000.log, in UTC. */
function rotatedPath(path: string, wallMs: number): string {
  const ending = extname(path);
  const time = new Date(wallMs).toISOString().slice(0, -1).replaceAll(":", "-");
  return join(dirname(path), `${basename(path, ending)}-${time}${ending}`);
}

function removeOld(path: string, { ageMaxMs, filesMax }: Rotation, wallMs: number): void {
  const ending = extname(path);
  const start = `${basename(path, ending)}-`;
  const rotated = readdirSync(dirname(path))
    .filter((name) => name.startsWith(start) && name.endsWith(ending))
    .map((name) => ({ name, atMs: timeOf(name.slice(start.length, name.length - ending.length)) }))
    .filter(({ atMs }) => !Number.isNaN(atMs))
    .sort((a, b) => b.atMs - a.atMs);
  for (const [i, { name, atMs }] of rotated.entries())
    if ((filesMax > 0 && i >= filesMax) || (ageMaxMs > 0 && wallMs - atMs > ageMaxMs))
      rmSync(join(dirname(path), name), { force: true });
}

/** NaN: not a time that this program wrote. */
function timeOf(text: string): number {
  const [, day, hours, rest] = /^(\d{4}-\d\d-\d\dT)(\d\d-\d\d-\d\d)(\.\d{3})$/.exec(text) ?? [];
  return day === undefined
    ? Number.NaN
    : Date.parse(`${day}${hours!.replaceAll("-", ":")}${rest}Z`);
}
