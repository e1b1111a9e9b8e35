/**
 * A file, or the standard output, that is only ever appended to, without the event loop waiting for
 * a slow disk or a stuck reader of a pipe. For rotation: rename the file, then `reopen`.
 */
import { closeSync, constants, openSync, write, writeSync } from "node:fs";

const STANDARD: ReadonlyMap<string, number> = new Map([
  ["-", 1],
  ["/dev/stdout", 1],
  ["/dev/stderr", 2],
]);
const RETRY_MS = 10;
const CLOSED = -1;

export class AppendFile {
  readonly path: string;
  #fd: number;
  #writing = false;
  /** Left by reopen or close until the write on it is done. */
  #stale: number | undefined;

  /** "-" and "/dev/stdout" are the standard output. Throws the system's error. */
  constructor(path: string) {
    this.path = path;
    this.#fd = open(path);
  }

  /** Writes all of `bytes`, which stay untouched until `done`; one write at a time. */
  write(bytes: Uint8Array, done: (written: boolean) => void): void {
    if (this.#fd === CLOSED) return done(false);
    this.#writing = true;
    this.#write(this.#fd, bytes, done);
  }

  writeSync(bytes: Uint8Array): boolean {
    if (this.#fd === CLOSED) return false;
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at, bytes.length - at);
      return true;
    } catch {
      return false;
    }
  }

  /** Opens the path anew; on an error, which it throws, the former file is kept. */
  reopen(): void {
    if (STANDARD.has(this.path) || this.#fd === CLOSED) return;
    const fd = open(this.path);
    this.#retire();
    this.#fd = fd;
  }

  /** What is written from now on is lost: the descriptor's number may belong to a socket soon. */
  close(): void {
    if (!STANDARD.has(this.path) && this.#fd !== CLOSED) this.#retire();
    this.#fd = CLOSED;
  }

  #retire(): void {
    if (this.#writing && this.#stale === undefined) this.#stale = this.#fd;
    else closeSync(this.#fd);
  }

  #write(fd: number, bytes: Uint8Array, done: (written: boolean) => void): void {
    write(fd, bytes, 0, bytes.length, null, (error, n) => {
      // A pipe that nobody reads just now.
      if (error?.code === "EAGAIN")
        return void setTimeout(() => this.#write(fd, bytes, done), RETRY_MS);
      if (error === null && n < bytes.length) return this.#write(fd, bytes.subarray(n), done);
      this.#writing = false;
      if (this.#stale !== undefined) closeSync(this.#stale);
      this.#stale = undefined;
      done(error === null);
    });
  }
}

function open(path: string): number {
  // Without O_NONBLOCK, opening a named pipe that nobody reads would wait for a reader.
  const flags = constants.O_APPEND | constants.O_CREAT | constants.O_WRONLY | constants.O_NONBLOCK;
  return STANDARD.get(path) ?? openSync(path, flags, 0o640);
}
