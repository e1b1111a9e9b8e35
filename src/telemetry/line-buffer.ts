/**
 * A buffer that lines are encoded into, and the few primitives that a line needs. They write at an
 * offset and return the one after, which so stays in a register from field to field. Nothing is
 * checked for room: the caller makes sure of it once a line (`room`).
 */

/** 1: stands for itself in a line. Controls, quote, backslash and all beyond ASCII do not. */
const PLAIN: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c ? 1 : 0,
);
const HEX: Uint8Array = new TextEncoder().encode("0123456789abcdef");
const ZERO = 0x30;
const BACKSLASH = 0x5c;
const QUOTE = 0x22;
/** Up to so many bytes a loop is quicker than a call. */
const SHORT = 48;

/** The most bytes that one byte of a peer becomes: \u00NN. */
export const ESCAPED_BYTES_MAX = 6;

export class LineBuffer {
  readonly bytes: Buffer;
  length = 0;

  constructor(size: number) {
    this.bytes = Buffer.allocUnsafeSlow(size);
  }

  get room(): number {
    return this.bytes.length - this.length;
  }
}

export function putBytes(out: Uint8Array, at: number, bytes: Uint8Array): number {
  const { length } = bytes;
  if (length > SHORT) out.set(bytes, at);
  else for (let i = 0; i < length; i++) out[at + i] = bytes[i]!;
  return at + length;
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
  out: Uint8Array,
  at: number,
  source: Uint8Array,
  range: { readonly from: number; readonly to: number },
): number {
  const { from, to } = range;
  let plain = 1;
  let end = at;
  for (let i = from; i < to; i++) {
    const byte = source[i]!;
    plain &= PLAIN[byte]!;
    out[end++] = byte;
  }
  return plain === 1 ? end : putEscaped(out, at, source.subarray(from, to));
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
