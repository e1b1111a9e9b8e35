/**
 * A run of instructions of HPACK that came before on the same connection: to find it again is a
 * comparison for each field, where to decode it is a copy, a look at every octet, and more.
 *
 * An indexed field is the same where its entry is, wherever in the table that has got to meanwhile;
 * a literal that leaves no trace in the table, where its octets are. Others end a run.
 */
import { copyRange } from "../core/copy-range.ts";
import type { DynamicTable } from "./dynamic-table.ts";
import type { HpackDecoder } from "./hpack-decoder.ts";
import { staticCount } from "./static-table.ts";

/** Fields of a run, and octets of its literals together. */
export const runFieldsMax = 48;
const rawBytesMax = 1024;

export class OpRun {
  count = 0;
  /** After `match`: where what was found ends in the block. */
  end = 0;
  /** See HpackDecoder.op. */
  readonly #op: Float64Array = new Float64Array(runFieldsMax);
  /** Ends of literals in #raw. */
  readonly #rawEnd: Int32Array = new Int32Array(runFieldsMax);
  #raw: Uint8Array = new Uint8Array(128);

  /** How many of the run's instructions a block begins with at `from`. */
  match(bytes: Uint8Array, from: number, to: number, table: DynamicTable): number {
    const { count } = this;
    let at = from;
    let i = 0;
    for (; i < count && at < to; i++) {
      const op = this.#op[i]!;
      if (op > 0) {
        let index = bytes[at]! - 128;
        if (index <= 0) break;
        let next = at + 1;
        if (index === 127) {
          if (next === to || bytes[next]! >= 128) break;
          index += bytes[next++]!;
        }
        const age = index - staticCount - 1;
        if (age < 0 ? op !== index : age >= table.count || op !== staticCount + table.idOf(age))
          break;
        at = next;
      } else {
        const next = this.#literal(i, bytes, at, to);
        if (next < 0) break;
        at = next;
      }
    }
    this.end = at;
    return i;
  }

  /** Where literal i ends if it is at `at`; else -1. */
  #literal(i: number, bytes: Uint8Array, at: number, to: number): number {
    const raw = this.#raw;
    const from = i === 0 ? 0 : this.#rawEnd[i - 1]!;
    const length = this.#rawEnd[i]! - from;
    if (at + length > to) return -1;
    for (let j = 0; j < length; j++) if (raw[from + j] !== bytes[at + j]) return -1;
    return at + length;
  }

  /** Appends the instruction that `hpack` has just decoded; false: the run ends before it. */
  add(hpack: HpackDecoder): boolean {
    const { count } = this;
    const { op } = hpack;
    if (op === 0 || count === runFieldsMax) return false;
    let end = count === 0 ? 0 : this.#rawEnd[count - 1]!;
    if (op < 0) {
      const { block, opAt, position } = hpack;
      const length = position - opAt;
      if (end + length > rawBytesMax) return false;
      if (end + length > this.#raw.length) {
        const larger = new Uint8Array(rawBytesMax);
        copyRange.call(this.#raw, larger, 0, 0, end);
        this.#raw = larger;
      }
      copyRange.call(block, this.#raw, end, opAt, position);
      end += length;
    }
    this.#op[count] = op;
    this.#rawEnd[count] = end;
    this.count = count + 1;
    return true;
  }
}
