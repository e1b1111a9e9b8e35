/**
 * The fields that heads of one connection begin with again and again, as lines ready to be copied.
 *
 *   wanted ─(a head is decoded, and noted)─▶ known
 *      ▲                                       │
 *      └──(heads begin otherwise, or go on with what could have been noted)
 *
 * Runs of all connections that hold the same lines have the same id, so that who writes heads can
 * keep what it made of them (sent-run.ts).
 */
import { copyRange } from "../core/copy-range.ts";
import { FieldId } from "../http/field-id.ts";
import type { MessageHead } from "../http/message-head.ts";
import { noBytes } from "./buffer-pool.ts";
import type { HeadArena } from "./head-arena.ts";
import type { HeadFields } from "./head-fields.ts";
import type { HpackDecoder } from "./hpack-decoder.ts";
import { OpRun, runFieldsMax } from "./op-run.ts";

/** Heads that the run did not serve as it could, before it is left as it is… */
const missesMax = 8;
/** …but for each so many of them. */
const retriedEach = 16;

export class FieldRun {
  /** The head under way is decoded field by field, and becomes the run. */
  isWanted = true;
  #misses = 0;
  #id = 0;
  #ops = new OpRun();
  #noted = new OpRun();
  #lines = noBytes;
  /** Of each field in #lines; its line begins where the one before ends. */
  readonly #end: Int32Array = new Int32Array(runFieldsMax);
  readonly #nameEnd: Int32Array = new Int32Array(runFieldsMax);
  readonly #valueStart: Int32Array = new Int32Array(runFieldsMax);
  readonly #valueEnd: Int32Array = new Int32Array(runFieldsMax);
  readonly #fieldId: Uint8Array = new Uint8Array(runFieldsMax);
  readonly #dropped: Uint8Array = new Uint8Array(runFieldsMax);
  /** As counted for the limit of a list, up to and including the field. */
  readonly #listBytes: Int32Array = new Int32Array(runFieldsMax);
  #isNoting = false;

  /** How many of its fields the block goes on with; they end at `end`. */
  match(hpack: HpackDecoder): number {
    return this.isWanted ? 0 : this.#ops.match(hpack.block, hpack.position, hpack.to, hpack.table);
  }

  get end(): number {
    return this.#ops.end;
  }

  /** What the first `count` fields count in a list. */
  listBytes(count: number): number {
    return this.#listBytes[count - 1]!;
  }

  /** Puts the first `count` fields, there for the taking, into the head that is begun. */
  take(count: number, fields: HeadFields, hpack: HpackDecoder): void {
    const { head } = fields;
    const length = this.#end[count - 1]!;
    fields.need(length);
    const { at } = hpack;
    const first = head.fieldCount;
    copyRange.call(this.#lines, hpack.out, at, 0, length);
    let lineStart = at;
    for (let i = 0; i < count; i++) {
      const field = first + i;
      const kind = this.#fieldId[i]!;
      head.fieldId[field] = kind;
      head.nameStart[field] = lineStart;
      head.nameEnd[field] = at + this.#nameEnd[i]!;
      head.valueStart[field] = at + this.#valueStart[i]!;
      head.valueEnd[field] = at + this.#valueEnd[i]!;
      head.dropped[field] = this.#dropped[i]!;
      lineStart = at + this.#end[i]!;
      if (kind !== FieldId.other) fields.note(kind, field);
    }
    head.fieldCount = first + count;
    head.runId = this.#id;
    head.runFrom = first;
    head.runCount = count;
    hpack.at = at + length;
  }

  /** Fields were found, and the block may go on with one that a run could have as well. */
  found(hpack: HpackDecoder): void {
    const first = hpack.position === hpack.to ? 0x40 : hpack.block[hpack.position]!;
    if (first >= 0x80 || first < 0x10) this.missed();
    else if (this.#misses > 0) this.#misses--;
  }

  missed(): void {
    const misses = ++this.#misses;
    this.isWanted = misses <= missesMax || misses % retriedEach === 0;
  }

  /** Before the fields of a head, where it is wanted. */
  beginNotes(): void {
    this.#noted.count = 0;
    this.#isNoting = true;
  }

  /**
   * The field that was just decoded was taken, and the list counts so much with it. Cookies and
   * Host may yet change what was taken before them.
   */
  note(hpack: HpackDecoder, listBytes: number): void {
    const { kind } = hpack;
    const stays = kind !== FieldId.cookie && kind !== FieldId.host;
    const { count } = this.#noted;
    if (this.#isNoting && stays && this.#noted.add(hpack)) this.#listBytes[count] = listBytes;
    else this.#isNoting = false;
  }

  /** The head is whole; what was noted begins with its field `first`. */
  learn(head: MessageHead, first: number, arena: HeadArena): void {
    this.isWanted = false;
    const { count } = this.#noted;
    if (count === 0) return;
    const ops = this.#ops;
    this.#ops = this.#noted;
    this.#noted = ops;
    const start = head.nameStart[first]!;
    for (let i = 0; i < count; i++) {
      const field = first + i;
      this.#fieldId[i] = head.fieldId[field]!;
      this.#nameEnd[i] = head.nameEnd[field]! - start;
      this.#valueStart[i] = head.valueStart[field]! - start;
      this.#valueEnd[i] = head.valueEnd[field]! - start;
      this.#end[i] = head.valueEnd[field]! + 2 - start;
      this.#dropped[i] = head.dropped[field]!;
    }
    this.#lines = head.bytes.slice(start, start + this.#end[count - 1]!);
    this.#id = arena.runIds.idOf(this.#lines);
  }
}
