/** Offsets of a text ─▶ lines and columns, both from 1. */
export class LineIndex {
  readonly #text: string;
  /** Where each line begins. */
  readonly #starts: readonly number[];

  constructor(text: string) {
    const starts = [0];
    for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1))
      starts.push(at + 1);
    this.#text = text;
    this.#starts = starts;
  }

  /** Offsets past the end mean the end. */
  at(offset: number): { readonly line: number; readonly column: number } {
    const within = Math.max(0, Math.min(offset, this.#text.length));
    let low = 0;
    let high = this.#starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#starts[middle]! <= within) low = middle;
      else high = middle - 1;
    }
    return { line: low + 1, column: within - this.#starts[low]! + 1 };
  }

  /** Where a line begins; of one past the end, the end. */
  offset(line: number): number {
    return this.#starts[line - 1] ?? this.#text.length;
  }

  /** Without its end; the beginning of it where it is very long. */
  line(number: number, lengthMax: number): string {
    const start = this.#starts[number - 1] ?? 0;
    const end = (this.#starts[number] ?? this.#text.length + 1) - 1;
    return this.#text.slice(start, Math.min(end, start + lengthMax)).replace(/\r$/, "");
  }
}
