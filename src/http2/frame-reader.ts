/**
 * Cuts input into frames (RFC 9113 4.1), whatever the pieces it comes in.
 *
 *   preface (of a client) ─▶ header ─▶ payload ─▶ header …
 *
 * DATA is passed on as it arrives; of every other frame the whole payload is handed over at once,
 * and what is here of it meanwhile lies in a buffer of the pool, no longer than a frame may be.
 */
import { copyRange } from "../core/copy-range.ts";
import { type BufferPool, noBytes } from "./buffer-pool.ts";
import { ConnectionFault, type Fault } from "./fault.ts";
import { Flag, FrameType, frameHeaderBytes, preface, readUint31 } from "./frame.ts";

/** Whoever understands the frames; a fault ends the reading. */
export interface FrameHandler {
  /** The caller's clock. */
  readonly nowMs: number;
  /** The header of a DATA frame: `length` octets of payload, padding included. */
  dataBegins(reader: FrameReader): Fault | undefined;
  /** Content of the DATA frame. */
  dataPart(bytes: Uint8Array, from: number, to: number): Fault | undefined;
  /** `padding` octets of the frame were no content. */
  dataEnds(padding: number): Fault | undefined;
  /** Any other frame; its payload is [from, to) of `reader.payload`. */
  frame(reader: FrameReader): Fault | undefined;
}

export class FrameReader {
  // The frame that was begun last.
  length = 0;
  type = 0;
  flags = 0;
  streamId = 0;
  payload: Uint8Array = noBytes;
  from = 0;
  to = 0;
  /** Past the frame that is being handed over, in what `read` was given. */
  nextAt = 0;
  /** Since when a piece of a frame waits for its rest (nowMs); 0: none does. */
  heldSinceMs = 0;

  readonly #handler: FrameHandler;
  readonly #pool: BufferPool;
  readonly #frameBytesMax: number;
  /** Octets of the preface that are still to come. */
  #prefaceLeft: number;
  #held: Uint8Array = noBytes;
  #heldLength = 0;
  #inPayload = false;
  #inData = false;
  /** Of DATA: content and padding that are still to come; -1: the length of the padding is. */
  #contentLeft = 0;
  #paddingLeft = 0;
  #padding = 0;

  constructor(
    handler: FrameHandler,
    pool: BufferPool,
    frameBytesMax: number,
    expectsPreface: boolean,
  ) {
    this.#handler = handler;
    this.#pool = pool;
    this.#frameBytesMax = frameBytesMax;
    this.#prefaceLeft = expectsPreface ? preface.length : 0;
  }

  /** Takes [from, to). Returns why the connection cannot go on. */
  read(bytes: Uint8Array, from: number, to: number): Fault | undefined {
    let at = from;
    while (this.#prefaceLeft > 0 && at < to) {
      if (bytes[at++] !== preface[preface.length - this.#prefaceLeft--]) {
        return ConnectionFault.preface;
      }
    }
    let fault: Fault | undefined;
    while (at < to && !this.#stopped) {
      if (this.#inData) {
        at = this.#data(bytes, at, to);
        fault = this.#fault;
      } else if (this.#inPayload) {
        const end = at + this.length - this.#heldLength;
        if (end > to) return void this.#hold(bytes, at, to);
        this.nextAt = end;
        fault = this.#whole(bytes, at, end);
        at = end;
      } else {
        const end = at + frameHeaderBytes - this.#heldLength;
        if (end > to) return void this.#hold(bytes, at, to);
        fault = this.#header(bytes, at, end);
        at = end;
      }
      if (fault !== undefined) return fault;
    }
    return undefined;
  }
  #fault: Fault | undefined = undefined;
  #stopped = false;

  /** The connection is over: nothing more is read. */
  stop(): void {
    this.#stopped = true;
    this.#release();
  }

  #release(): void {
    this.#pool.give(this.#held);
    this.#held = noBytes;
    this.#heldLength = 0;
    this.heldSinceMs = 0;
  }

  #hold(bytes: Uint8Array, from: number, to: number): void {
    if (this.#held.length === 0) {
      this.#held = this.#pool.take(this.#inPayload ? this.length : frameHeaderBytes);
      this.heldSinceMs = this.#handler.nowMs;
    }
    copyRange.call(bytes, this.#held, this.#heldLength, from, to);
    this.#heldLength += to - from;
  }

  #header(bytes: Uint8Array, from: number, to: number): Fault | undefined {
    let at = from;
    let source = bytes;
    if (this.#heldLength > 0) {
      this.#hold(bytes, from, to);
      source = this.#held;
      at = 0;
    }
    this.length = (source[at]! << 16) | (source[at + 1]! << 8) | source[at + 2]!;
    this.type = source[at + 3]!;
    this.flags = source[at + 4]!;
    this.streamId = readUint31(source, at + 5);
    if (this.#heldLength > 0) this.#release();
    if (this.length > this.#frameBytesMax) return ConnectionFault.frameTooLarge;
    if (this.type === FrameType.data) return this.#beginData();
    if (this.length === 0) return this.#hand(noBytes, 0, 0);
    this.#inPayload = true;
    return undefined;
  }

  #whole(bytes: Uint8Array, from: number, to: number): Fault | undefined {
    this.#inPayload = false;
    if (this.#heldLength === 0) return this.#hand(bytes, from, to);
    copyRange.call(bytes, this.#held, this.#heldLength, from, to);
    const fault = this.#hand(this.#held, 0, this.length);
    this.#release();
    return fault;
  }

  #hand(bytes: Uint8Array, from: number, to: number): Fault | undefined {
    this.payload = bytes;
    this.from = from;
    this.to = to;
    const fault = this.#handler.frame(this);
    this.payload = noBytes;
    return fault;
  }

  #beginData(): Fault | undefined {
    const padded = (this.flags & Flag.padded) !== 0;
    if (padded && this.length === 0) return ConnectionFault.frameSize;
    const fault = this.#handler.dataBegins(this);
    if (fault !== undefined) return fault;
    this.#padding = 0;
    this.#paddingLeft = padded ? -1 : 0;
    this.#contentLeft = this.length;
    this.#inData = this.length > 0;
    return this.#inData ? undefined : this.#handler.dataEnds(0);
  }

  /** Returns the offset past what was used, and leaves a fault in #fault. */
  #data(bytes: Uint8Array, from: number, to: number): number {
    let at = from;
    if (this.#paddingLeft === -1) {
      this.#paddingLeft = bytes[at++]!;
      this.#padding = this.#paddingLeft + 1;
      this.#contentLeft -= this.#padding;
      if (this.#contentLeft < 0) {
        this.#fault = ConnectionFault.padding;
        return at;
      }
    }
    const end = Math.min(to, at + this.#contentLeft);
    if (end > at) {
      this.#contentLeft -= end - at;
      this.#fault = this.#handler.dataPart(bytes, at, end);
      if (this.#fault !== undefined) return end;
    }
    at = Math.min(to, end + this.#paddingLeft);
    this.#paddingLeft -= at - end;
    if (this.#contentLeft + this.#paddingLeft === 0) {
      this.#inData = false;
      this.#fault = this.#handler.dataEnds(this.#padding);
    }
    return at;
  }
}
