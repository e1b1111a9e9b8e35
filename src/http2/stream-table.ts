/**
 * The streams of a session by identifier, and how those that are over came to their end.
 *
 * Identifiers only grow, two at a time: a table of open addressing finds a stream with one look,
 * and the last few hundred that are gone are remembered where their identifier says.
 */
import type { Stream } from "./stream.ts";

/** How a stream ended. */
export const Ending = { unknown: 0, whole: 1, peerReset: 2, weReset: 3 } as const;
export type Ending = (typeof Ending)[keyof typeof Ending];

const firstSlots = 16;
const remembered = 256;

export class StreamTable<U> {
  count = 0;
  #slots: (Stream<U> | undefined)[] = new Array<Stream<U> | undefined>(firstSlots).fill(undefined);
  /** Identifiers of what is in the slots, so that streams need not be looked at; 0: nothing. */
  #ids = new Int32Array(firstSlots);
  #mask = firstSlots - 1;
  readonly #endedId: Int32Array = new Int32Array(remembered);
  readonly #ending: Uint8Array = new Uint8Array(remembered);

  find(id: number): Stream<U> | undefined {
    const ids = this.#ids;
    let at = (id >> 1) & this.#mask;
    for (;;) {
      if (ids[at] === id) return this.#slots[at];
      if (ids[at] === 0) return undefined;
      at = (at + 1) & this.#mask;
    }
  }

  add(stream: Stream<U>): void {
    if (++this.count * 2 > this.#slots.length) this.#grow();
    this.#put(stream);
  }

  /** Streams behind it move up, so that no gap hides them. */
  remove(id: number): void {
    const ids = this.#ids;
    const slots = this.#slots;
    const mask = this.#mask;
    let gap = (id >> 1) & mask;
    while (ids[gap] !== 0 && ids[gap] !== id) gap = (gap + 1) & mask;
    if (ids[gap] === 0) return;
    this.count--;
    for (let at = (gap + 1) & mask; ids[at] !== 0; at = (at + 1) & mask) {
      const home = (ids[at]! >> 1) & mask;
      if (((at - home) & mask) < ((at - gap) & mask)) continue;
      slots[gap] = slots[at];
      ids[gap] = ids[at]!;
      gap = at;
    }
    slots[gap] = undefined;
    ids[gap] = 0;
  }

  /** All that are there, as an array of its own. */
  all(): Stream<U>[] {
    return this.#slots.filter((stream) => stream !== undefined);
  }

  /** Calls for each; the table must not change meanwhile. */
  each(visit: (stream: Stream<U>) => void): void {
    for (const stream of this.#slots) if (stream !== undefined) visit(stream);
  }

  /** Remembers how the stream ended. */
  ended(id: number, ending: Ending): void {
    const at = (id >> 1) & (remembered - 1);
    this.#endedId[at] = id;
    this.#ending[at] = ending;
  }

  endingOf(id: number): Ending {
    const at = (id >> 1) & (remembered - 1);
    return this.#endedId[at] === id ? (this.#ending[at] as Ending) : Ending.unknown;
  }

  #put(stream: Stream<U>): void {
    let at = (stream.id >> 1) & this.#mask;
    while (this.#ids[at] !== 0) at = (at + 1) & this.#mask;
    this.#slots[at] = stream;
    this.#ids[at] = stream.id;
  }

  #grow(): void {
    const streams = this.all();
    this.#slots = new Array<Stream<U> | undefined>(this.#slots.length * 2).fill(undefined);
    this.#ids = new Int32Array(this.#slots.length);
    this.#mask = this.#slots.length - 1;
    for (const stream of streams) this.#put(stream);
  }
}
