/** A hash table from bytes to a small number, with open addressing; the caller brings the hash. */
import { startsWith } from "./byte-range.ts";

export class ByteTable {
  readonly #keys: Uint8Array[] = [];
  /** Key number + 1; 0: free. Its length is a power of two, at least twice the keys. */
  #slots = new Int32Array(16);
  #hashes = new Int32Array(16);

  get size(): number {
    return this.#keys.length;
  }

  /** The number of the key, from 0 in order of insertion; a key that is known keeps its number. */
  insert(hash: number, key: Uint8Array): number {
    const known = this.find(hash, key, 0, key.length);
    if (known !== -1) return known;
    this.#keys.push(key);
    if (this.#keys.length * 2 > this.#slots.length) this.#grow();
    this.#place(hash | 0, this.#keys.length);
    return this.#keys.length - 1;
  }

  /** The number of the key that equals bytes[from, from + length), or -1. */
  find(hash: number, bytes: Uint8Array, from: number, length: number): number {
    const mask = this.#slots.length - 1;
    for (let at = hash & mask; ; at = (at + 1) & mask) {
      const number = this.#slots[at]! - 1;
      if (number === -1) return -1;
      if (this.#hashes[at] !== (hash | 0)) continue;
      const key = this.#keys[number]!;
      if (key.length === length && startsWith(bytes, from, key)) return number;
    }
  }

  #place(hash: number, value: number): void {
    const mask = this.#slots.length - 1;
    let at = hash & mask;
    while (this.#slots[at] !== 0) at = (at + 1) & mask;
    this.#slots[at] = value;
    this.#hashes[at] = hash;
  }

  #grow(): void {
    const [slots, hashes] = [this.#slots, this.#hashes];
    this.#slots = new Int32Array(slots.length * 2);
    this.#hashes = new Int32Array(slots.length * 2);
    for (let i = 0; i < slots.length; i++) if (slots[i] !== 0) this.#place(hashes[i]!, slots[i]!);
  }
}
