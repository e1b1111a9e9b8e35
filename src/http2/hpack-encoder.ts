/**
 * Encodes field blocks (RFC 7541) at the least cost: no Huffman code, and one look for each field.
 *
 * A line is indexed when it comes a second time, so that what never recurs (request ids, dates)
 * leaves the table alone. Secrets are never indexed: credentials and cookies, and whatever its
 * sender said so of, which is a line with two blanks after its colon (hpack-decoder.ts).
 */
import { FieldId } from "../http/field-id.ts";
import { DynamicTable, entryOverheadBytes, lineOverheadBytes } from "./dynamic-table.ts";
import type { OutputBuffer } from "./output-buffer.ts";
import { SentLines } from "./sent-line.ts";
import { SentRuns } from "./sent-run.ts";
import { staticCount, staticIndexOf } from "./static-table.ts";

/** The table that we use at most, whatever the peer allows. */
const tableBytesMax = 4096;
const slotCount = 256;
/** Octets of a name and of a value that a hash looks at, about. */
const sampled = { name: 4, value: 7 } as const;

const lower = Uint8Array.from({ length: 256 }, (_, o) => (o >= 65 && o <= 90 ? o | 32 : o));

export class HpackEncoder {
  readonly #out: OutputBuffer;
  readonly #table = new DynamicTable(tableBytesMax);
  /** Hashes of lines that came lately: one for each slot, whatever came last. */
  readonly #seen = new Int32Array(slotCount);
  /** Hashes of lines in the table, and which insertion each was; those that live stay in place. */
  readonly #hash = new Int32Array(slotCount);
  readonly #inserted = new Float64Array(slotCount).fill(-1);
  /** Sizes to announce: the smallest since the last block, and the last; -1: none. */
  #smallest = -1;
  #resized = -1;
  #scratch = new Uint8Array(256);
  #resizes = 0;
  /** What is noted of lines that came: while it stays, the same lines are written alike. */
  changes = 0;

  /** Runs of lines as they were written last. */
  readonly sent = new SentRuns();
  /** Pseudo-fields of requests as they were written last. */
  readonly sentLines = new SentLines();

  // The line to be put: ranges of `bytes`.
  bytes: Uint8Array = new Uint8Array(0);
  nameStart = 0;
  nameEnd = 0;
  valueStart = 0;
  valueEnd = 0;
  /** A FieldId or a Pseudo. */
  kind = 0;

  constructor(out: OutputBuffer) {
    this.#out = out;
  }

  /** SETTINGS_HEADER_TABLE_SIZE of the peer: takes effect with the next block (RFC 7541 4.2). */
  resize(bytesMax: number): void {
    const size = Math.min(bytesMax, tableBytesMax);
    const before = this.#resized === -1 ? this.#table.sizeMax : this.#resized;
    if (size === before) return;
    this.#smallest = this.#smallest === -1 ? size : Math.min(this.#smallest, size);
    this.#resized = size;
  }

  /** Changes whenever an index may come to mean another entry, or none. */
  get version(): number {
    return this.#table.inserted + this.#resizes;
  }

  /** Before the first field of each block. */
  begin(): void {
    if (this.#resized === -1) return;
    this.#out.reserve(12);
    if (this.#smallest < this.#resized) this.#sizeUpdate(this.#smallest);
    this.#sizeUpdate(this.#resized);
    this.#smallest = -1;
    this.#resized = -1;
  }

  /** An entry of the static table. */
  indexed(index: number): void {
    this.#out.reserve(1);
    this.#out.bytes[this.#out.end++] = 0x80 | index;
  }

  /** The line, indexed or literal, whichever serves. */
  put(): void {
    const { kind } = this;
    if (kind === FieldId.authorization || kind === FieldId.cookie || kind === FieldId.setCookie) {
      return this.literal(0x10, 15);
    }
    if (this.valueStart - this.nameEnd === 3) return this.literal(0x10, 15);
    const nameLength = this.nameEnd - this.nameStart;
    const valueLength = this.valueEnd - this.valueStart;
    const size = nameLength + valueLength + entryOverheadBytes;
    if (size > this.#table.sizeMax >> 2) return this.literal(0, 15);
    const hash = this.#hashOf(nameLength, valueLength);
    const slot = hash & (slotCount - 1);
    const table = this.#table;
    const age = table.inserted - 1 - this.#inserted[slot]!;
    const isLive = this.#inserted[slot]! >= 0 && age < table.count;
    if (isLive && this.#hash[slot] === hash) {
      if (!this.#isEntry(table.slotOf(age), nameLength, valueLength)) return this.literal(0, 15);
      this.#out.reserve(8);
      return this.#integer(0x80, 127, staticCount + 1 + age);
    }
    if (isLive || this.#seen[slot] !== hash) {
      this.#seen[slot] = hash;
      this.changes++;
      return this.literal(0, 15);
    }
    this.changes++;
    this.literal(0x40, 63);
    this.#hash[slot] = hash;
    this.#inserted[slot] = table.inserted;
    this.#insert(nameLength, valueLength);
  }

  /** The line as a literal: `pattern` and `mask` of its first octet (RFC 7541 6.2). */
  literal(pattern: number, mask: number): void {
    const { bytes, nameStart, nameEnd } = this;
    const out = this.#out;
    out.reserve(nameEnd - nameStart + this.valueEnd - this.valueStart + 24);
    const index = staticIndexOf(this.kind);
    this.#integer(pattern, mask, index);
    if (index === 0) {
      this.#integer(0, 127, nameEnd - nameStart);
      const target = out.bytes;
      let at = out.end;
      for (let i = nameStart; i < nameEnd; i++) target[at++] = lower[bytes[i]!]!;
      out.end = at;
    }
    this.#integer(0, 127, this.valueEnd - this.valueStart);
    this.#value();
  }

  #value(): void {
    const { bytes, valueStart, valueEnd } = this;
    const out = this.#out;
    if (valueEnd - valueStart > 20) return out.range(bytes, valueStart, valueEnd);
    const target = out.bytes;
    let at = out.end;
    for (let i = valueStart; i < valueEnd; i++) target[at++] = bytes[i]!;
    out.end = at;
  }

  #hashOf(nameLength: number, valueLength: number): number {
    const { bytes, valueStart, valueEnd } = this;
    let hash = (nameLength * 31 + valueLength) | 0x40000000;
    if (this.kind !== FieldId.other) hash = Math.imul(hash, 31) + this.kind;
    else hash = this.#hashName(hash, nameLength);
    // What counts up or is random differs at either end, if anywhere.
    if (valueLength > 0) hash = Math.imul(hash, 31) + bytes[valueStart]!;
    const valueStep = 1 + ((valueLength / sampled.value) | 0);
    for (let i = valueEnd - 1; i >= valueStart; i -= valueStep) {
      hash = Math.imul(hash, 31) + bytes[i]!;
    }
    return (hash ^ (hash >>> 15)) | 0;
  }

  /** Known names differ by their kind. */
  #hashName(seed: number, nameLength: number): number {
    const { bytes, nameStart, nameEnd } = this;
    const step = 1 + ((nameLength / sampled.name) | 0);
    let hash = seed;
    for (let i = nameEnd - 1; i >= nameStart; i -= step) {
      hash = Math.imul(hash, 31) + lower[bytes[i]!]!;
    }
    return hash;
  }

  #isEntry(slot: number, nameLength: number, valueLength: number): boolean {
    const table = this.#table;
    if (table.nameLength[slot] !== nameLength || table.valueLength[slot] !== valueLength) {
      return false;
    }
    const { bytes, nameStart, valueStart } = this;
    const { ring } = table;
    const name = table.start[slot]!;
    const value = name + nameLength + 2;
    for (let i = 0; i < valueLength; i++) {
      if (ring[value + i] !== bytes[valueStart + i]) return false;
    }
    if (this.kind !== FieldId.other) return table.kind[slot] === this.kind;
    for (let i = 0; i < nameLength; i++) {
      if (ring[name + i] !== lower[bytes[nameStart + i]!]) return false;
    }
    return true;
  }

  #insert(nameLength: number, valueLength: number): void {
    const { bytes, nameStart, valueStart } = this;
    const length = nameLength + valueLength + lineOverheadBytes;
    if (length > this.#scratch.length) this.#scratch = new Uint8Array(tableBytesMax);
    const scratch = this.#scratch;
    for (let i = 0; i < nameLength; i++) scratch[i] = lower[bytes[nameStart + i]!]!;
    const value = nameLength + 2;
    for (let i = 0; i < valueLength; i++) scratch[value + i] = bytes[valueStart + i]!;
    const slot = this.#table.insert(scratch, 0, nameLength, valueLength);
    if (slot >= 0) this.#table.kind[slot] = this.kind;
  }

  #sizeUpdate(size: number): void {
    this.#resizes++;
    this.changes++;
    this.#integer(0x20, 31, size);
    this.#table.resize(size);
  }

  /** RFC 7541 5.1; room must be there. */
  #integer(pattern: number, mask: number, value: number): void {
    const { bytes } = this.#out;
    let at = this.#out.end;
    if (value < mask) bytes[at++] = pattern | value;
    else {
      bytes[at++] = pattern | mask;
      let rest = value - mask;
      for (; rest >= 128; rest >>>= 7) bytes[at++] = (rest & 127) | 128;
      bytes[at++] = rest;
    }
    this.#out.end = at;
  }
}
