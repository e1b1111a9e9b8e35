/**
 * Base64 in pieces, cut anywhere (RFC 4648 4), as gRPC-Web's text form has it: groups of four, any
 * of which may be padded, since a sender pads whenever it flushes. Strict: nothing but the
 * alphabet, no bits beside the octets, no group left open at the end.
 */
const PAD = 0x3d;
const NO_DIGIT = 255;
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const digitOf = new Uint8Array(256).fill(NO_DIGIT);
for (let i = 0; i < alphabet.length; i++) digitOf[alphabet.charCodeAt(i)] = i;

export class Base64Decoder {
  /** It is not base64: nothing more is decoded. */
  failed = false;
  /** Digits of the group under way, and their bits. */
  #digits = 0;
  #bits = 0;
  /** Pads that its end still needs. */
  #pads = 0;

  reset(): void {
    this.failed = false;
    this.#digits = 0;
    this.#bits = 0;
    this.#pads = 0;
  }

  /** No group is open. */
  get isWhole(): boolean {
    return !this.failed && this.#digits === 0;
  }

  /** The octets of every group that ends in bytes[from, to). */
  decode(bytes: Uint8Array, from: number, to: number): Uint8Array {
    // The first group may need one digit more, the others need four.
    const out = new Uint8Array(Math.ceil((to - from) / 4) * 3);
    let length = 0;
    for (let at = from; at < to && !this.failed; at++) {
      const octet = bytes[at]!;
      if (octet === PAD) {
        length = this.#pad(out, length);
        continue;
      }
      const digit = digitOf[octet]!;
      if (digit === NO_DIGIT || this.#pads > 0) {
        this.failed = true;
        break;
      }
      this.#bits = (this.#bits << 6) | digit;
      if (++this.#digits < 4) continue;
      out[length++] = this.#bits >> 16;
      out[length++] = this.#bits >> 8;
      out[length++] = this.#bits;
      this.#end();
    }
    return out.subarray(0, length);
  }

  #pad(out: Uint8Array, at: number): number {
    if (this.#pads === 0) {
      const unused = this.#digits === 2 ? 0xf : 0x3;
      if (this.#digits < 2 || (this.#bits & unused) !== 0) {
        this.failed = true;
        return at;
      }
      this.#pads = 4 - this.#digits;
    }
    if (--this.#pads > 0) return at;
    if (this.#digits === 2) out[at] = this.#bits >> 4;
    else {
      out[at] = this.#bits >> 10;
      out[at + 1] = this.#bits >> 2;
    }
    const next = at + this.#digits - 1;
    this.#end();
    return next;
  }

  #end(): void {
    this.#digits = 0;
    this.#bits = 0;
  }
}
