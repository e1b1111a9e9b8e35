/**
 * The request body as it was sent to the upstream, kept for a further try, up to a bound. An
 * exchange has one for all of its requests: messages of gRPC are mostly short, and an array for
 * each of them was the dearest thing that a call made.
 */
import { copyRange } from "../../core/copy-range.ts";

const FIRST_BYTES = 512;
/** More than that is given up with the body that needed it. */
const KEPT_BYTES_MAX = 2_048;
const NO_BYTES = new Uint8Array(0);

export class ReplayBuffer {
  readonly #bytesMax: number;
  #bytes: Uint8Array = NO_BYTES;
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

  /** Ready for another body. */
  clear(): void {
    this.#length = 0;
    this.#overflowed = false;
    if (this.#bytes.length > KEPT_BYTES_MAX) this.#bytes = NO_BYTES;
  }

  add(bytes: Uint8Array, from: number, to: number): void {
    if (this.#overflowed) return;
    const needed = this.#length + to - from;
    if (needed > this.#bytesMax) {
      this.#overflowed = true;
      this.#bytes = NO_BYTES;
      this.#length = 0;
      return;
    }
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.min(this.#bytesMax, Math.max(FIRST_BYTES, needed * 2)));
      copyRange.call(this.#bytes, grown, 0, 0, this.#length);
      this.#bytes = grown;
    }
    copyRange.call(bytes, this.#bytes, this.#length, from, to);
    this.#length = needed;
  }
}
