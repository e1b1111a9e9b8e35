/**
 * What a session sends: frames one behind the other, until the kernel takes them. It grows as
 * needed; its users keep the bounds.
 */
import { copyRange } from "../core/copy-range.ts";
import { type BufferPool, noBytes } from "./buffer-pool.ts";
import { FrameType, frameHeaderBytes, writeUint32 } from "./frame.ts";

export class OutputBuffer {
  /** [start, end) waits. */
  bytes: Uint8Array = noBytes;
  start = 0;
  end = 0;
  /** How many octets were ever put out before bytes[0]. */
  base = 0;
  readonly #pool: BufferPool;

  constructor(pool: BufferPool) {
    this.#pool = pool;
  }

  get length(): number {
    return this.end - this.start;
  }

  /** Whether nothing from position `at` on, as counted by `base`, has left. */
  holds(at: number): boolean {
    return at >= this.base + this.start;
  }

  /** Makes room for `bytes` more behind `end`. */
  reserve(bytes: number): void {
    if (this.end + bytes > this.bytes.length) this.#grow(bytes);
  }

  /** The kernel took so much. */
  taken(bytes: number): void {
    this.start += bytes;
    if (this.start < this.end) return;
    this.base += this.end;
    this.start = 0;
    this.end = 0;
    this.#pool.give(this.bytes);
    this.bytes = noBytes;
  }

  /** The header of a frame, whose payload is to follow. */
  frame(length: number, type: number, flags: number, streamId: number): void {
    this.reserve(frameHeaderBytes + length);
    this.header(length, type, flags, streamId);
  }

  /** As `frame`, where room is known to be there. */
  header(length: number, type: number, flags: number, streamId: number): void {
    const { bytes } = this;
    const at = this.end;
    bytes[at] = length >> 16;
    bytes[at + 1] = length >> 8;
    bytes[at + 2] = length;
    bytes[at + 3] = type;
    bytes[at + 4] = flags;
    writeUint32(bytes, at + 5, streamId);
    this.end = at + frameHeaderBytes;
  }

  /** A range of some array; room must be there. */
  range(bytes: Uint8Array, from: number, to: number): void {
    copyRange.call(bytes, this.bytes, this.end, from, to);
    this.end += to - from;
  }

  uint32(value: number): void {
    writeUint32(this.bytes, this.end, value);
    this.end += 4;
  }

  uint16(value: number): void {
    this.bytes[this.end++] = value >> 8;
    this.bytes[this.end++] = value;
  }

  rstStream(streamId: number, code: number): void {
    this.frame(4, FrameType.rstStream, 0, streamId);
    this.uint32(code);
  }

  windowUpdate(streamId: number, increment: number): void {
    this.frame(4, FrameType.windowUpdate, 0, streamId);
    this.uint32(increment);
  }

  goaway(lastStreamId: number, code: number, debug: Uint8Array): void {
    this.frame(8 + debug.length, FrameType.goaway, 0, 0);
    this.uint32(lastStreamId);
    this.uint32(code);
    this.range(debug, 0, debug.length);
  }

  /** `payload` holds eight octets from `from` on. */
  ping(flags: number, payload: Uint8Array, from: number): void {
    this.frame(8, FrameType.ping, flags, 0);
    this.range(payload, from, from + 8);
  }

  #grow(bytes: number): void {
    const { length } = this;
    const old = this.bytes;
    const target =
      length + bytes <= old.length && this.start >= old.length >> 1
        ? old
        : this.#pool.take(Math.max(length + bytes, length * 2));
    copyRange.call(old, target, 0, this.start, this.end);
    if (target !== old) this.#pool.give(old);
    this.bytes = target;
    this.base += this.start;
    this.start = 0;
    this.end = length;
  }
}
