/**
 * A buffer that lines are encoded into, with the few primitives that a line needs. Nothing is
 * checked for room: the caller makes sure of it once a line (`room`).
 */

/** 1: stands for itself in a line. Controls, quote, backslash and all beyond ASCII do not. */
export const PLAIN: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c ? 1 : 0,
);
const HEX = "0123456789abcdef";
const ZERO = 0x30;
/** Up to so many bytes a loop is quicker than a call. */
const SHORT = 20;

/** Bun has it, its types do not; `write(text, at, "latin1")` takes twice as long. */
interface Latin1Buffer extends Buffer {
  latin1Write(text: string, at: number): number;
}

export class LineBuffer {
  readonly bytes: Latin1Buffer;
  length = 0;

  constructor(size: number) {
    this.bytes = Buffer.allocUnsafeSlow(size) as Latin1Buffer;
  }

  get room(): number {
    return this.bytes.length - this.length;
  }

  byte(code: number): void {
    this.bytes[this.length++] = code;
  }

  /** ASCII of ours, as it is. */
  ascii(text: string): void {
    const { length } = text;
    if (length > SHORT) {
      this.length += this.bytes.latin1Write(text, this.length);
      return;
    }
    const { bytes, length: at } = this;
    for (let i = 0; i < length; i++) bytes[at + i] = text.charCodeAt(i);
    this.length = at + length;
  }

  copy(source: Buffer, from: number, to: number): void {
    const n = to - from;
    const { bytes, length: at } = this;
    if (n > SHORT) source.copy(bytes, at, from, to);
    else for (let i = 0; i < n; i++) bytes[at + i] = source[from + i]!;
    this.length = at + n;
  }

  /** A whole number that is not negative; fractions are cut off. */
  integer(value: number): void {
    if (value < 10) {
      this.bytes[this.length++] = ZERO + Math.trunc(value);
      return;
    }
    if (!(value < 1e9)) {
      this.ascii(String(Math.trunc(value)));
      return;
    }
    let rest = value | 0;
    let end = this.length + (rest < 100 ? 2 : rest < 1_000 ? 3 : 1 + Math.floor(Math.log10(rest)));
    this.length = end;
    const { bytes } = this;
    do {
      const quotient = (rest / 10) | 0;
      bytes[--end] = ZERO + (rest - quotient * 10);
      rest = quotient;
    } while (rest !== 0);
  }

  /** What could end the field or the line, or is not ASCII: JSON needs \u00NN, text may have it. */
  escape(source: Uint8Array, from: number, to: number): void {
    for (let i = from; i < to; i++) {
      const byte = source[i]!;
      if (PLAIN[byte] === 1) this.byte(byte);
      else if (byte === 0x22 || byte === 0x5c) {
        this.byte(0x5c);
        this.byte(byte);
      } else this.ascii(`\\u00${HEX[byte >> 4]}${HEX[byte & 15]}`);
    }
  }
}

/** The most bytes that one byte of a peer becomes: \u00NN. */
export const ESCAPED_BYTES_MAX = 6;
