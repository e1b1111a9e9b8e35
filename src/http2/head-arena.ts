/**
 * Memory for the heads of HTTP/2 messages: slabs that are filled once and never reused, so that a
 * head may be kept as long as its exchange lives; the garbage collector frees a slab with the last
 * head in it. One for all sessions of a thread.
 */
import { BufferPool, noBytes } from "./buffer-pool.ts";
import { DoomedStreams } from "./doomed-streams.ts";
import { LineIds } from "./line-ids.ts";

const SLAB_BYTES = 64 * 1024;

export class HeadArena {
  /** The slab that is being filled. */
  slab: Uint8Array = noBytes;
  /** Octets of it that are in use. */
  at = 0;
  /** What sessions need for a while. */
  readonly buffers = new BufferPool();
  /** Of the read that a session is at. */
  readonly doomed = new DoomedStreams();
  /** For what is decoded, and not kept there; any length. */
  scratch: Uint8Array = new Uint8Array(4096);

  /** Runs of fields that came again on some connection lately, and request lines with Host. */
  readonly runIds = new LineIds();
  readonly requestLineIds = new LineIds();

  /** A new slab with room for `bytes` at least. */
  renew(bytes: number): void {
    this.slab = new Uint8Array(Math.max(SLAB_BYTES, bytes));
    this.at = 0;
  }
}
