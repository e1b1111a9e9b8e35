/**
 * The streams of a session by identifier, and how those that are over came to their end.
 *
 * Identifiers only grow, two at a time: a stream lies where its identifier says, in a table twice
 * as long as there are streams, and the last few hundred that are gone are remembered so. Who finds
 * its slot taken, by a stream that has lived through a whole turn of the table or because the peer
 * leaves identifiers out, lies apart: no stream is ever in the way of the others.
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
  readonly #apart = new Map<number, Stream<U>>();
  readonly #endedId: Int32Array = new Int32Array(remembered);
  readonly #ending: Uint8Array = new Uint8Array(remembered);

  find(id: number): Stream<U> | undefined {
    const at = (id >> 1) & this.#mask;
    if (this.#ids[at] === id) return this.#slots[at];
    return this.#apart.size === 0 ? undefined : this.#apart.get(id);
  }

  add(stream: Stream<U>): void {
    if (++this.count * 2 > this.#slots.length) this.#grow();
    this.#put(stream);
  }

  remove(id: number): void {
    const at = (id >> 1) & this.#mask;
    if (this.#ids[at] === id) {
      this.#slots[at] = undefined;
      this.#ids[at] = 0;
      this.count--;
    } else if (this.#apart.delete(id)) this.count--;
  }

  /** All that are there, as an array of its own. */
  all(): Stream<U>[] {
    const streams = this.#slots.filter((stream) => stream !== undefined);
    return this.#apart.size === 0 ? streams : [...streams, ...this.#apart.values()];
  }

  /** Calls for each; the table must not change meanwhile. */
  each(visit: (stream: Stream<U>) => void): void {
    for (const stream of this.#slots) if (stream !== undefined) visit(stream);
    for (const stream of this.#apart.values()) visit(stream);
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
    const at = (stream.id >> 1) & this.#mask;
    if (this.#ids[at] === 0) {
      this.#slots[at] = stream;
      this.#ids[at] = stream.id;
    } else this.#apart.set(stream.id, stream);
  }

  #grow(): void {
    const streams = this.all();
    this.#apart.clear();
    this.#slots = new Array<Stream<U> | undefined>(this.#slots.length * 2).fill(undefined);
    this.#ids = new Int32Array(this.#slots.length);
    this.#mask = this.#slots.length - 1;
    for (const stream of streams) this.#put(stream);
  }
}
