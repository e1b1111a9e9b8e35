/**
 * Lines on their way to a file, as bytes: what is encoded is put where the write begins. Room is
 * made before something is put; what is kept between two writes has an end.
 */
import { Piece, putInteger, putPiece } from "../telemetry/line-buffer.ts";

const FIRST_BYTES = 16 * 1024;
const KEPT_BYTES_MAX = 512 * 1024;
/** Up to so many characters a loop is quicker than a call. */
const SHORT = 64;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const NO_BYTES = Buffer.alloc(0);
const INTEGER_BYTES_MAX = 16;
/** A piece is put in words. */
const WORD = 8;

/** Text that is put into many lines. */
export class TextPiece {
  readonly text: string;
  /** Undefined: it is not ASCII. */
  readonly piece: Piece | undefined;

  constructor(text: string) {
    this.text = text;
    this.piece = /^[\x20-\x7e]*$/.test(text) ? new Piece(text) : undefined;
  }
}

export class LineBytes {
  /** Until `room` or `clear` makes another one of it. */
  bytes: Buffer = NO_BYTES;
  #view: DataView = new DataView(NO_BYTES.buffer, 0, 0);
  /** Of whole lines. */
  length = 0;
  /** How often it was cleared: lines of the same round are still where they were. */
  round = 0;

  /** From `at` on there is room for so many bytes. */
  room(at: number, count: number): void {
    if (at + count > this.bytes.length) this.#grow(at, at + count);
  }

  written(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }

  clear(): void {
    this.length = 0;
    this.round++;
    if (this.bytes.length > KEPT_BYTES_MAX) this.#use(NO_BYTES);
  }

  /** The position after it. */
  putText(at: number, text: string): number {
    this.room(at, text.length * 3);
    return at + this.bytes.write(text, at);
  }

  putPiece(at: number, { text, piece }: TextPiece): number {
    if (piece === undefined) return this.putText(at, text);
    this.room(at, piece.length + WORD);
    return putPiece(this.#view, at, piece);
  }

  /** A whole number that is not negative. */
  putInteger(at: number, value: number): number {
    this.room(at, INTEGER_BYTES_MAX);
    return putInteger(this.bytes, at, value);
  }

  /** Between quotation marks; −1: it has characters that need more than that. */
  putPlain(at: number, text: string): number {
    const { length } = text;
    if (length > SHORT) return -1;
    this.room(at, length + 2);
    const { bytes } = this;
    bytes[at] = QUOTE;
    let end = at + 1;
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i);
      if (code < 0x20 || code > 0x7e || code === QUOTE || code === BACKSLASH) return -1;
      bytes[end++] = code;
    }
    bytes[end] = QUOTE;
    return end + 1;
  }

  /** What was put at [from, to) before. */
  putAgain(at: number, from: number, to: number): number {
    this.room(at, to - from);
    this.bytes.copyWithin(at, from, to);
    return at + to - from;
  }

  #grow(at: number, least: number): void {
    let size = Math.max(FIRST_BYTES, this.bytes.length);
    while (size < least) size *= 2;
    const larger = Buffer.allocUnsafeSlow(size);
    larger.set(this.bytes.subarray(0, at));
    this.#use(larger);
  }

  #use(bytes: Buffer): void {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }
}
