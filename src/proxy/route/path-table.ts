/**
 * Lists of routes by the path that they ask for, whole or as a prefix: a hash table over path
 * bytes. One pass over a path yields the hash of every prefix; only lengths that some key has are
 * looked up.
 */
import { HASH_START, hashEnd, hashOn } from "./byte-range.ts";
import { ByteTable } from "./byte-table.ts";

const none: readonly number[] = [];

export class PathTable {
  readonly #table = new ByteTable();
  readonly #lists: number[][] = [];
  /** Lengths that keys have, ascending. */
  lengths: readonly number[] = [];

  get size(): number {
    return this.#lists.length;
  }

  /** Routes are added in their order. */
  add(key: Uint8Array, route: number): void {
    const at = this.#table.insert(hashEnd(hashOn(HASH_START, key, 0, key.length)), key);
    const list = this.#lists[at];
    if (list !== undefined) return void list.push(route);
    this.#lists[at] = [route];
    if (!this.lengths.includes(key.length))
      this.lengths = [...this.lengths, key.length].sort((a, b) => a - b);
  }

  /** The routes of the key that is bytes[from, from + length), whose running hash is `hash`. */
  find(hash: number, bytes: Uint8Array, from: number, length: number): readonly number[] {
    const at = this.#table.find(hashEnd(hash), bytes, from, length);
    return at === -1 ? none : this.#lists[at]!;
  }
}
