/**
 * HPACK as slowly and plainly as RFC 7541 says it: lists of strings, no ring, no reuse. What the
 * decoder of the data plane is held against.
 */
import { decodeHuffman, huffmanBound } from "../http2/huffman.ts";
import {
  staticBytes,
  staticCount,
  staticNameLength,
  staticStart,
  staticValueLength,
} from "../http2/static-table.ts";
import { latin1, octets } from "../testing/http1-stream.ts";

type Field = readonly [name: string, value: string];

class Broken extends Error {}

export class HpackOracle {
  #table: Field[] = [];
  #sizeMax = 4096;
  #text = "";
  #at = 0;

  /** The fields of a block as "name: value", or undefined where it is broken. */
  decode(block: string): string[] | undefined {
    this.#text = block;
    this.#at = 0;
    const fields: string[] = [];
    try {
      for (let updates = 0; this.#at < block.length; ) {
        const first = block.charCodeAt(this.#at);
        if ((first & 0xe0) === 0x20) {
          const size = this.#integer(5);
          if (size > 4096 || ++updates > 2) throw new Broken();
          this.#sizeMax = size;
          this.#evict();
          continue;
        }
        updates = 2;
        fields.push(this.#field(first));
      }
    } catch (thrown) {
      if (thrown instanceof Broken) return undefined;
      throw thrown;
    }
    return fields;
  }

  #field(first: number): string {
    if (first >= 0x80) return this.#entry(this.#integer(7)).join(": ");
    const indexing = (first & 0x40) !== 0;
    const index = this.#integer(indexing ? 6 : 4);
    const name = index === 0 ? this.#string() : this.#entry(index)[0];
    const value = this.#string();
    if (indexing) {
      this.#table.unshift([name, value]);
      this.#evict();
    }
    return `${name}:${first >> 4 === 1 ? "  " : " "}${value}`;
  }

  #entry(index: number): Field {
    if (index === 0) throw new Broken();
    if (index > staticCount) {
      const entry = this.#table[index - staticCount - 1];
      if (entry === undefined) throw new Broken();
      return entry;
    }
    const start = staticStart[index]!;
    const name = start + staticNameLength[index]!;
    return [
      latin1(staticBytes, start, name),
      latin1(staticBytes, name + 2, name + 2 + staticValueLength[index]!),
    ];
  }

  #evict(): void {
    const size = (): number =>
      this.#table.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
    while (size() > this.#sizeMax) this.#table.pop();
  }

  #string(): string {
    const huffman = this.#text.charCodeAt(this.#at) >= 128;
    const length = this.#integer(7);
    const end = this.#at + length;
    if (end > this.#text.length) throw new Broken();
    const text = this.#text.slice(this.#at, end);
    this.#at = end;
    if (!huffman) return text;
    const target = { out: new Uint8Array(huffmanBound(length)), cursor: 0 };
    if (!decodeHuffman(octets(text), 0, length, target)) throw new Broken();
    return latin1(target.out, 0, target.cursor);
  }

  #integer(bits: number): number {
    if (this.#at >= this.#text.length) throw new Broken();
    const mask = 2 ** bits - 1;
    let value = this.#text.charCodeAt(this.#at++) & mask;
    if (value < mask) return value;
    for (let factor = 1; factor < 2 ** 28; factor *= 128) {
      if (this.#at >= this.#text.length) throw new Broken();
      const octet = this.#text.charCodeAt(this.#at++);
      value += (octet & 127) * factor;
      if (octet < 128) return value;
    }
    throw new Broken();
  }
}
