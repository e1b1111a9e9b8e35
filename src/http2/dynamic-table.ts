/**
 * The dynamic table of HPACK (RFC 7541 2.3.2, 4) as a ring of octets: no strings, no objects.
 *
 * An entry is stored as the line of HTTP/1.1 that it becomes, "name: value" CRLF, in one piece: to
 * use it is one copy. Lines take 28 octets less than RFC 7541 4.1 counts for an entry, so a ring of
 * twice the table's size always has a free piece of the length that is needed.
 */
import { copyRange } from "../core/copy-range.ts";

/** What an entry costs besides its name and value. */
export const entryOverheadBytes = 32;
/** ": " and CRLF. */
export const lineOverheadBytes = 4;

export class DynamicTable {
  /** What the table may be set to at most: SETTINGS_HEADER_TABLE_SIZE of its decoder. */
  bytesMax: number;
  /** How many entries were ever inserted. */
  inserted = 0;
  /** The newest so many of them are there. */
  count = 0;
  /** Lines of entries: an entry's begins at start[slotOf(i)]. */
  ring: Uint8Array;
  readonly start: Int32Array;
  readonly nameLength: Int32Array;
  readonly valueLength: Int32Array;
  /** A FieldId or a Pseudo. */
  readonly kind: Uint8Array;
  /** Set of Flaw. */
  readonly flaws: Uint8Array;
  readonly #mask: number;
  readonly #capacityBytes: number;
  #sizeMax: number;
  #size = 0;
  #cursor = 0;

  /** `capacityBytes`: the largest that bytesMax will ever be. */
  constructor(capacityBytes: number) {
    let slots = 1;
    while (slots <= capacityBytes / entryOverheadBytes) slots *= 2;
    this.#mask = slots - 1;
    this.#capacityBytes = capacityBytes;
    this.bytesMax = capacityBytes;
    this.#sizeMax = capacityBytes;
    this.ring = new Uint8Array(0);
    this.start = new Int32Array(slots);
    this.nameLength = new Int32Array(slots);
    this.valueLength = new Int32Array(slots);
    this.kind = new Uint8Array(slots);
    this.flaws = new Uint8Array(slots);
  }

  get size(): number {
    return this.#size;
  }

  get sizeMax(): number {
    return this.#sizeMax;
  }

  /** The slot of the entry that is `age` insertions old; 0: the newest. */
  slotOf(age: number): number {
    return (this.inserted - 1 - age) & this.#mask;
  }

  /** Which insertion, from 1, made the entry that is `age` insertions old. */
  idOf(age: number): number {
    return this.inserted - age;
  }

  /** RFC 7541 4.3: entries that have no room any more are evicted. */
  resize(sizeMax: number): void {
    this.#sizeMax = sizeMax;
    this.#evictTo(sizeMax);
  }

  /**
   * Inserts the line at `at` of `bytes`, of which nameLength and valueLength octets are name and
   * value; returns its slot, whose kind and flaws the caller sets, or -1: larger than the table,
   * which is empty then (RFC 7541 4.4).
   */
  insert(bytes: Uint8Array, at: number, nameLength: number, valueLength: number): number {
    const size = nameLength + valueLength + entryOverheadBytes;
    if (size > this.#sizeMax) {
      this.#evictTo(0);
      return -1;
    }
    this.#evictTo(this.#sizeMax - size);
    const length = nameLength + valueLength + lineOverheadBytes;
    if (this.ring.length === 0) this.ring = new Uint8Array(2 * this.#capacityBytes);
    if (this.#cursor + length > this.ring.length) this.#cursor = 0;
    const start = this.#cursor;
    this.#cursor += length;
    copyRange.call(bytes, this.ring, start, at, at + length);
    const slot = this.inserted++ & this.#mask;
    this.count++;
    this.#size += size;
    this.start[slot] = start;
    this.nameLength[slot] = nameLength;
    this.valueLength[slot] = valueLength;
    return slot;
  }

  #evictTo(size: number): void {
    while (this.#size > size) {
      const slot = this.slotOf(--this.count);
      this.#size -= this.nameLength[slot]! + this.valueLength[slot]! + entryOverheadBytes;
    }
  }
}
