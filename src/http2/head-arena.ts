/**
 * Memory for the heads of HTTP/2 messages: slabs that are filled once and never reused, so that a
 * head may be kept as long as its exchange lives; the garbage collector frees a slab with the last
 * head in it. One for all sessions of a thread.
 */
import { BufferPool, noBytes } from "./buffer-pool.ts";

const SLAB_BYTES = 64 * 1024;
const RUNS_MAX = 64;

export class HeadArena {
  /** The slab that is being filled. */
  slab: Uint8Array = noBytes;
  /** Octets of it that are in use. */
  at = 0;
  /** What sessions need for a while. */
  readonly buffers = new BufferPool();
  /** For what is decoded, and not kept there; any length. */
  scratch: Uint8Array = new Uint8Array(4096);

  /** Lines that came again on some connection lately, each at its id modulo their number. */
  readonly #lines: Uint8Array[] = [];
  #lastId = 0;

  /** One number for all lines of the same octets, from 1 on; they must not change. */
  idOfLines(lines: Uint8Array): number {
    for (let back = 0; back < Math.min(this.#lastId, RUNS_MAX); back++) {
      const id = this.#lastId - back;
      if (Buffer.compare(this.#lines[id % RUNS_MAX]!, lines) === 0) return id;
    }
    this.#lines[++this.#lastId % RUNS_MAX] = lines;
    return this.#lastId;
  }

  /** A new slab with room for `bytes` at least. */
  renew(bytes: number): void {
    this.slab = new Uint8Array(Math.max(SLAB_BYTES, bytes));
    this.at = 0;
  }
}
