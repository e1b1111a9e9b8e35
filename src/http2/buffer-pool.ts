/**
 * Buffers that connections need only while something waits in them: taken when the first octet
 * comes, given back when the last has gone, so that ten thousand idle connections hold none.
 */
const BUFFER_BYTES = 16 * 1024;
const KEPT_BYTES_MAX = 128 * 1024;
const KEPT_MAX = 16;

export const noBytes: Uint8Array = new Uint8Array(0);

export class BufferPool {
  readonly #free: Uint8Array[] = [];

  /** At least `bytes` long, with anything in it. */
  take(bytes: number): Uint8Array {
    const last = this.#free.length - 1;
    if (last >= 0 && this.#free[last]!.length >= bytes) return this.#free.pop()!;
    return new Uint8Array(Math.max(BUFFER_BYTES, bytes));
  }

  /** Nobody else may use it any more. */
  give(buffer: Uint8Array): void {
    const { length } = buffer;
    if (length < BUFFER_BYTES || length > KEPT_BYTES_MAX) return;
    if (this.#free.length < KEPT_MAX) this.#free.push(buffer);
  }
}
