/**
 * Where messages of gRPC end in their stream (PROTOCOL-HTTP2.md, "Length-Prefixed-Message"): a flag
 * octet, the length in four, the message. Something may be put between two of them, and nowhere
 * else.
 */
const HEADER_BYTES = 5;

export class MessageBoundary {
  #header = 0;
  #length = 0;
  #left = 0;

  /** No message is under way. */
  get isBetween(): boolean {
    return this.#header === 0;
  }

  reset(): void {
    this.#header = 0;
    this.#length = 0;
    this.#left = 0;
  }

  pass(bytes: Uint8Array, from: number, to: number): void {
    let at = from;
    while (at < to) {
      if (this.#header < HEADER_BYTES) {
        if (this.#header++ > 0) this.#length = this.#length * 256 + bytes[at]!;
        at++;
        if (this.#header === HEADER_BYTES) this.#left = this.#length;
      } else {
        const part = Math.min(this.#left, to - at);
        this.#left -= part;
        at += part;
      }
      if (this.#header === HEADER_BYTES && this.#left === 0) {
        this.#header = 0;
        this.#length = 0;
      }
    }
  }
}
