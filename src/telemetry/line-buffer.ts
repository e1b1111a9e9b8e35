/**
 * A buffer that lines are encoded into, and the few primitives that a line needs. They write at an
 * offset and return the one after, which so stays in a register from field to field. Nothing is
 * checked for room: the caller makes sure of it once a line (`room`).
 */

import { copyRange } from "../core/copy-range.ts";

/** 1: stands for itself in a line. Controls, quote, backslash and all beyond ASCII do not. */
const PLAIN: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c ? 1 : 0,
);
const HEX: Uint8Array = new TextEncoder().encode("0123456789abcdef");
const ZERO = 0x30;
const BACKSLASH = 0x5c;
const QUOTE = 0x22;
const HIGH_BITS = 0x80808080;
const WORD = 8;
/** Up to so many bytes a loop is quicker than a call. */
const SHORT = 20;

/** The most bytes that one byte of a peer becomes: \u00NN. */
export const ESCAPED_BYTES_MAX = 6;

export class LineBuffer {
  readonly bytes: Buffer;
  /** Of the same bytes. */
  readonly view: DataView;
  length = 0;

  constructor(size: number) {
    this.bytes = Buffer.allocUnsafeSlow(size);
    this.view = new DataView(this.bytes.buffer, this.bytes.byteOffset, size);
  }

  get room(): number {
    return this.bytes.length - this.length;
  }
}

/**
 * ASCII that is put into many lines, eight octets at a time: a quarter of what a loop over octets
 * takes, and no call. Numbers made of it arrive as they are, since none of them is a NaN.
 */
export class Piece {
  readonly length: number;
  readonly words: Float64Array;

  constructor(text: string) {
    const { buffer } = new Uint8Array(Math.ceil(text.length / WORD) * WORD);
    putAscii(new Uint8Array(buffer), 0, text);
    this.length = text.length;
    this.words = new Float64Array(buffer.byteLength / WORD);
    this.words.set(new Float64Array(buffer));
  }
}

/** May write up to seven octets more, which the next ones take the place of. */
export function putPiece(out: DataView, at: number, piece: Piece): number {
  const { words } = piece;
  for (let i = 0; i < words.length; i++) out.setFloat64(at + i * WORD, words[i]!, true);
  return at + piece.length;
}

/** ASCII of ours, as it is. */
export function putAscii(out: Uint8Array, at: number, text: string): number {
  const { length } = text;
  for (let i = 0; i < length; i++) out[at + i] = text.charCodeAt(i);
  return at + length;
}

/** A whole number that is not negative; fractions are cut off. */
export function putInteger(out: Uint8Array, at: number, value: number): number {
  if (!(value < 1e9)) return putAscii(out, at, String(Math.trunc(value)));
  let rest = value | 0;
  if (rest < 10) {
    out[at] = ZERO + rest;
    return at + 1;
  }
  let digits = 2;
  for (let bound = 100; rest >= bound; bound *= 10) digits++;
  for (let i = at + digits - 1; i >= at; i--) {
    const quotient = (rest / 10) | 0;
    out[i] = ZERO + (rest - quotient * 10);
    rest = quotient;
  }
  return at + digits;
}

/** Bytes of a peer: what could end the field or the line, or is not ASCII, is escaped. */
export function putForeign(
  out: LineBuffer,
  at: number,
  source: Uint8Array,
  range: { readonly from: number; readonly to: number },
): number {
  const { from, to } = range;
  const { bytes, view } = out;
  const end = at + to - from;
  let i = at;
  let odd = 0;
  if (to - from > SHORT) {
    copyRange.call(source, bytes, at, from, to);
    for (; i + 4 <= end; i += 4) odd |= oddIn(view.getInt32(i, true));
    odd &= HIGH_BITS;
    for (; i < end; i++) odd |= PLAIN[bytes[i]!]! ^ 1;
  } else {
    for (let j = from; j < to; j++) {
      const byte = source[j]!;
      odd |= PLAIN[byte]! ^ 1;
      bytes[i++] = byte;
    }
  }
  return odd === 0 ? end : putEscaped(bytes, at, source.subarray(from, to));
}

/** Of four octets: no high bit is set if all are plain, and one is if one of them is not. */
function oddIn(word: number): number {
  return (
    word |
    (word + 0x01010101) |
    (word - 0x20202020) |
    ((word ^ 0x22222222) - 0x01010101) |
    ((word ^ 0x5c5c5c5c) - 0x01010101)
  );
}

/** JSON needs \u00NN, text may have it. */
function putEscaped(out: Uint8Array, at: number, source: Uint8Array): number {
  let end = at;
  for (const byte of source) {
    if (PLAIN[byte] === 1) out[end++] = byte;
    else if (byte === QUOTE || byte === BACKSLASH) {
      out[end++] = BACKSLASH;
      out[end++] = byte;
    } else {
      end = putAscii(out, end, "\\u00");
      out[end++] = HEX[byte >> 4]!;
      out[end++] = HEX[byte & 15]!;
    }
  }
  return end;
}
