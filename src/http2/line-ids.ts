/**
 * One number for all lines of the same octets, whichever connection they come on: so that who
 * writes heads can tell what it has written before. The last 64 are remembered.
 */
const linesMax = 64;

export class LineIds {
  /** Each at its id modulo their number. */
  readonly #lines: Uint8Array[] = [];
  #lastId = 0;

  /** From 1 on. The lines must not change. */
  idOf(lines: Uint8Array): number {
    for (let back = 0; back < Math.min(this.#lastId, linesMax); back++) {
      const id = this.#lastId - back;
      if (Buffer.compare(this.#lines[id % linesMax]!, lines) === 0) return id;
    }
    this.#lines[++this.#lastId % linesMax] = lines;
    return this.#lastId;
  }
}
