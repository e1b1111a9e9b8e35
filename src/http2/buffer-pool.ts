/**
 * Buffers that connections need only while something waits in them: taken when the first octet
 * comes, given back when the last has gone, so that ten thousand idle connections hold none.
 */
/**
 * The lengths that there are, and how many of each are kept: of the shortest as many as there are
 * connections that have something to say in one turn. Longer ones are made as needed.
 */
const sizes = [4 * 1024, 16 * 1024, 64 * 1024, 256 * 1024] as const;
const keptMax = [512, 16, 8, 4] as const;

export const noBytes: Uint8Array = new Uint8Array(0);

export class BufferPool {
  readonly #free: readonly Uint8Array[][] = sizes.map(() => []);

  /** At least `bytes` long, with anything in it. */
  take(bytes: number): Uint8Array {
    if (bytes > sizes[3]) return new Uint8Array(bytes);
    const at = bytes <= sizes[0] ? 0 : bytes <= sizes[1] ? 1 : bytes <= sizes[2] ? 2 : 3;
    return this.#free[at]!.pop() ?? new Uint8Array(sizes[at]!);
  }

  /** Nobody else may use it any more. */
  give(buffer: Uint8Array): void {
    const { length } = buffer;
    if (length === 0) return;
    const at = length === sizes[0] ? 0 : length === sizes[1] ? 1 : length === sizes[2] ? 2 : 3;
    if (length === sizes[at] && this.#free[at]!.length < keptMax[at]!) this.#free[at]!.push(buffer);
    // The collector would hear of it late: in a flood, too late.
    else if (buffer.buffer instanceof ArrayBuffer) buffer.buffer.transfer(0);
  }
}
