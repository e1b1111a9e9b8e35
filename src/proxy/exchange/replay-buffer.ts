/** The request body as it was sent to the upstream, kept for a further try, up to a bound. */
export class ReplayBuffer {
  readonly #bytesMax: number;
  #bytes: Uint8Array = new Uint8Array(0);
  #length = 0;
  #overflowed = false;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Everything is here. */
  get complete(): boolean {
    return !this.#overflowed;
  }

  get bytes(): Uint8Array {
    return this.#bytes;
  }

  get length(): number {
    return this.#length;
  }

  add(bytes: Uint8Array, from: number, to: number): void {
    if (this.#overflowed) return;
    const needed = this.#length + to - from;
    if (needed > this.#bytesMax) {
      this.#overflowed = true;
      this.#bytes = new Uint8Array(0);
      this.#length = 0;
      return;
    }
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.min(this.#bytesMax, Math.max(4_096, needed * 2)));
      grown.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = grown;
    }
    this.#bytes.set(bytes.subarray(from, to), this.#length);
    this.#length = needed;
  }
}
