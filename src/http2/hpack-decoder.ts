/**
 * Decodes the field blocks of one direction of a connection (RFC 7541), field by field, into lines
 * of HTTP/1.1: "name: value" CRLF. A field that is never to be indexed gets two blanks after the
 * colon, so that who forwards it knows (RFC 7541 6.2.3), however often the line is scanned again.
 *
 *   begin(block)
 *   next() ─▶ field: the line is at out[at, lineEnd); move `at` past it to keep it
 *          ─▶ room: `out` is too small for `needed` octets from `at` on; replace it and ask again
 *          ─▶ end, broken
 */
import { copyRange } from "../core/copy-range.ts";
import { Ascii } from "../http/octet.ts";
import { noBytes } from "./buffer-pool.ts";
import { DynamicTable, entryOverheadBytes, lineOverheadBytes } from "./dynamic-table.ts";
import { Flaw, isSoundValue, kindOf } from "./field-kind.ts";
import { decodeHuffman, huffmanBound } from "./huffman.ts";
import {
  staticBytes,
  staticCount,
  staticKind,
  staticNameLength,
  staticStart,
  staticValueLength,
} from "./static-table.ts";

export const Step = { field: 0, end: 1, room: 2, broken: 3 } as const;
export type Step = (typeof Step)[keyof typeof Step];

/** Up to this many octets a loop beats a native copy. */
const loopBytesMax = 40;
/** Size updates at the start of a block: the smallest and the last (RFC 7541 4.2). */
const sizeUpdatesMax = 2;

export class HpackDecoder {
  readonly table: DynamicTable;
  out: Uint8Array = noBytes;
  /** Where the next line goes. */
  at = 0;
  /** After Step.room. */
  needed = 0;

  /** The field: a FieldId or a Pseudo, and a set of Flaw. */
  kind = 0;
  flaws = 0;
  nameEnd = 0;
  valueStart = 0;
  valueEnd = 0;
  lineEnd = 0;
  /**
   * The same for the same field: the index of the static table, above that the entry of the dynamic
   * one; -1: a literal that leaves the table alone, without a name from the dynamic one; 0: other.
   */
  op = 0;
  /** Where what was decoded last begins in the block. */
  opAt = 0;
  /** Came as never to be indexed. */
  sensitive = false;

  /** Where strings are decoded to. */
  cursor = 0;
  #bytes: Uint8Array = noBytes;
  #next = 0;
  #to = 0;
  #updates = 0;
  #stringFrom = 0;
  #stringTo = 0;
  #huffman = false;

  constructor(tableBytesMax: number) {
    this.table = new DynamicTable(tableBytesMax);
  }

  /** What is decoded: [position, to) of `block` is still to come. */
  get block(): Uint8Array {
    return this.#bytes;
  }

  get position(): number {
    return this.#next;
  }

  get to(): number {
    return this.#to;
  }

  /** Fields up to there were found in another way. */
  skipTo(position: number): void {
    this.#next = position;
    this.#updates = sizeUpdatesMax;
  }

  /** The octets over which a list of fields is counted (RFC 9113 6.5.2). */
  get size(): number {
    return this.nameEnd - this.at + this.valueEnd - this.valueStart + entryOverheadBytes;
  }

  /** The block is [from, to). */
  begin(bytes: Uint8Array, from: number, to: number): void {
    this.#bytes = bytes;
    this.#next = from;
    this.#to = to;
    this.#updates = 0;
  }

  next(): Step {
    for (;;) {
      if (this.#next === this.#to) return Step.end;
      const first = this.#bytes[this.#next]!;
      this.opAt = this.#next;
      if (first >= 0x80) {
        this.#updates = sizeUpdatesMax;
        return this.#indexed(first & 127);
      }
      if ((first & 0xe0) !== 0x20) {
        this.#updates = sizeUpdatesMax;
        return this.#literal(first);
      }
      const size = this.#integer(31);
      if (size < 0 || size > this.table.bytesMax || ++this.#updates > sizeUpdatesMax) {
        return Step.broken;
      }
      this.table.resize(size);
    }
  }

  /** `prefix`: the index, where it fits the first octet. */
  #indexed(prefix: number): Step {
    const from = this.#next;
    let index = prefix;
    if (prefix < 127) this.#next = from + 1;
    else index = this.#integer(127);
    if (index <= 0) return Step.broken;
    this.sensitive = false;
    if (index <= staticCount) {
      const nameLength = staticNameLength[index]!;
      const valueLength = staticValueLength[index]!;
      if (!this.#hasRoom(nameLength + valueLength, from)) return Step.room;
      this.kind = staticKind[index]!;
      this.flaws = 0;
      this.op = index;
      this.#line(staticBytes, staticStart[index]!, nameLength, valueLength);
      return Step.field;
    }
    const { table } = this;
    const age = index - staticCount - 1;
    if (age >= table.count) return Step.broken;
    const slot = table.slotOf(age);
    const nameLength = table.nameLength[slot]!;
    const valueLength = table.valueLength[slot]!;
    if (!this.#hasRoom(nameLength + valueLength, from)) return Step.room;
    this.kind = table.kind[slot]!;
    this.flaws = table.flaws[slot]!;
    this.op = staticCount + table.idOf(age);
    this.#line(table.ring, table.start[slot]!, nameLength, valueLength);
    return Step.field;
  }

  #line(bytes: Uint8Array, from: number, nameLength: number, valueLength: number): void {
    const { out, at } = this;
    const length = nameLength + valueLength + lineOverheadBytes;
    this.nameEnd = at + nameLength;
    this.valueStart = at + nameLength + 2;
    this.valueEnd = at + nameLength + 2 + valueLength;
    this.lineEnd = at + length;
    if (length > loopBytesMax) copyRange.call(bytes, out, at, from, from + length);
    else for (let i = 0; i < length; i++) out[at + i] = bytes[from + i]!;
  }

  #literal(first: number): Step {
    const from = this.#next;
    const indexing = (first & 0x40) !== 0;
    const index = this.#integer(indexing ? 63 : 15);
    this.op = first < 16 && index <= staticCount ? -1 : 0;
    if (index < 0) return Step.broken;
    if (index > staticCount && index - staticCount > this.table.count) return Step.broken;
    this.cursor = this.at;
    let nameBound = 0;
    if (index === 0) {
      if (!this.#string()) return Step.broken;
      nameBound = this.#bound();
    } else nameBound = this.#nameLength(index);
    const nameFrom = this.#stringFrom;
    const nameTo = this.#stringTo;
    const nameHuffman = this.#huffman;
    if (!this.#string()) return Step.broken;
    if (!this.#hasRoom(nameBound + this.#bound(), from)) return Step.room;
    if (index > 0) this.#copyName(index);
    else if (!this.#newName(nameFrom, nameTo, nameHuffman)) return Step.broken;
    this.sensitive = (first & 0xf0) === 0x10;
    if (!this.#value()) return Step.broken;
    if (!indexing) return Step.field;
    const { table, at } = this;
    const slot = table.insert(this.out, at, this.nameEnd - at, this.valueEnd - this.valueStart);
    if (slot >= 0) {
      table.kind[slot] = this.kind;
      table.flaws[slot] = this.flaws;
    }
    return Step.field;
  }

  #nameLength(index: number): number {
    if (index <= staticCount) return staticNameLength[index]!;
    return this.table.nameLength[this.table.slotOf(index - staticCount - 1)]!;
  }

  #copyName(index: number): void {
    const { table, out, at } = this;
    const isStatic = index <= staticCount;
    const slot = isStatic ? index : table.slotOf(index - staticCount - 1);
    const bytes = isStatic ? staticBytes : table.ring;
    const from = isStatic ? staticStart[slot]! : table.start[slot]!;
    const length = isStatic ? staticNameLength[slot]! : table.nameLength[slot]!;
    this.kind = isStatic ? staticKind[slot]! : table.kind[slot]!;
    this.flaws = isStatic ? 0 : table.flaws[slot]! & Flaw.name;
    if (length > loopBytesMax) copyRange.call(bytes, out, at, from, from + length);
    else for (let i = 0; i < length; i++) out[at + i] = bytes[from + i]!;
    this.cursor = at + length;
  }

  #newName(from: number, to: number, huffman: boolean): boolean {
    this.cursor = this.at;
    if (huffman) {
      if (!decodeHuffman(this.#bytes, from, to, this)) return false;
    } else this.#copy(from, to);
    const kind = kindOf(this.out, this.at, this.cursor);
    this.kind = kind & 255;
    this.flaws = kind >> 8;
    return true;
  }

  /** From after the name to the end of the line. */
  #value(): boolean {
    const { out } = this;
    this.nameEnd = this.cursor;
    out[this.cursor++] = Ascii.colon;
    out[this.cursor++] = Ascii.space;
    if (this.sensitive) out[this.cursor++] = Ascii.space;
    this.valueStart = this.cursor;
    if (this.#huffman) {
      if (!decodeHuffman(this.#bytes, this.#stringFrom, this.#stringTo, this)) return false;
    } else this.#copy(this.#stringFrom, this.#stringTo);
    this.valueEnd = this.cursor;
    if (!isSoundValue(out, this.valueStart, this.valueEnd)) this.flaws |= Flaw.value;
    out[this.cursor++] = Ascii.cr;
    out[this.cursor++] = Ascii.lf;
    this.lineEnd = this.cursor;
    return true;
  }

  #copy(from: number, to: number): void {
    const { out, cursor } = this;
    const bytes = this.#bytes;
    const length = to - from;
    if (length > loopBytesMax) copyRange.call(bytes, out, cursor, from, to);
    else for (let i = 0; i < length; i++) out[cursor + i] = bytes[from + i]!;
    this.cursor = cursor + length;
  }

  /** Finds the string at #next and moves past it. */
  #string(): boolean {
    if (this.#next === this.#to) return false;
    this.#huffman = this.#bytes[this.#next]! >= 0x80;
    const length = this.#integer(127);
    if (length < 0 || length > this.#to - this.#next) return false;
    this.#stringFrom = this.#next;
    this.#next += length;
    this.#stringTo = this.#next;
    return true;
  }

  #bound(): number {
    const length = this.#stringTo - this.#stringFrom;
    return this.#huffman ? huffmanBound(length) : length;
  }

  /** Room for a line with so many octets of name and value; else back to `from`. */
  #hasRoom(bytes: number, from: number): boolean {
    this.needed = bytes + lineOverheadBytes + 1;
    if (this.at + this.needed <= this.out.length) return true;
    this.#next = from;
    return false;
  }

  /** An integer whose prefix has the bits of `mask` (RFC 7541 5.1); -1: cut off, or above 2^28. */
  #integer(mask: number): number {
    const bytes = this.#bytes;
    let value = bytes[this.#next++]! & mask;
    if (value < mask) return value;
    for (let shift = 0; shift < 28; shift += 7) {
      if (this.#next === this.#to) return -1;
      const octet = bytes[this.#next++]!;
      value += (octet & 127) << shift;
      if (octet < 128) return value;
    }
    return -1;
  }
}
