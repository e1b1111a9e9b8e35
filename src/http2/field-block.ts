/**
 * Reads one field block into its parts: the pseudo-fields, then the fields. Whatever is wrong with
 * the message, the block is decoded to its end, since the table of the connection depends on it;
 * only a block that unpacks to far more than the limit is given up, and the connection with it.
 */
import { copyRange } from "../core/copy-range.ts";
import type { MessageHead } from "../http/message-head.ts";
import { ConnectionFault, type Fault, Flood, Malformed, Unserved } from "./fault.ts";
import { Pseudo } from "./field-kind.ts";
import { FieldRun } from "./field-run.ts";
import type { HeadArena } from "./head-arena.ts";
import { HeadFields } from "./head-fields.ts";
import { HpackDecoder, Step } from "./hpack-decoder.ts";
import type { KnownLine } from "./known-line.ts";

/** A list that is so many times over the limit is no mistake. */
const bombFactor = 16;
/** SETTINGS_HEADER_TABLE_SIZE is left at its default (RFC 9113 6.5.2). */
const tableBytes = 4096;

export class FieldBlock {
  readonly hpack = new HpackDecoder(tableBytes);
  readonly fields: HeadFields;
  readonly head: MessageHead;
  readonly arena: HeadArena;
  readonly #listBytesMax: number;
  #listBytes = 0;
  /** The decoder holds a field that is not taken yet. */
  #pending = false;
  /** That field, as the decoder left it in the scratch. */
  readonly #pendingField = {
    at: 0,
    kind: 0,
    flaws: 0,
    nameEnd: 0,
    valueStart: 0,
    valueEnd: 0,
    lineEnd: 0,
  };
  /** Fields that came before like this; of the head under way, so many are at the decoder. */
  readonly #run = new FieldRun();
  #found = 0;
  /** Octets of the list that are the pseudo-fields'. */
  #listBefore = 0;
  /** Of requests alone: the pseudo-fields of the one before. */
  readonly #line: KnownLine | undefined;
  /** Bit kind - 128 is set for each pseudo-field that came. */
  #seen = 0;
  /** Values of pseudo-fields in `arena.scratch`, by kind - 128. */
  readonly #start = new Int32Array(8);
  readonly #end = new Int32Array(8);

  /** `line`: for a connection that brings requests. */
  constructor(head: MessageHead, arena: HeadArena, listBytesMax: number, line?: KnownLine) {
    this.#line = line;
    this.head = head;
    this.arena = arena;
    this.fields = new HeadFields(head, arena, this.hpack);
    this.#listBytesMax = listBytesMax;
  }

  /** Where pseudo-fields lie. */
  get scratch(): Uint8Array {
    return this.arena.scratch;
  }

  has(pseudo: number): boolean {
    return (this.#seen & (1 << (pseudo - 128))) !== 0;
  }

  startOf(pseudo: number): number {
    return this.#start[pseudo - 128]!;
  }

  endOf(pseudo: number): number {
    return this.#end[pseudo - 128]!;
  }

  /** Whether a block begins with the pseudo-fields of `line`; then the head is begun with them. */
  repeatLine(line: KnownLine, bytes: Uint8Array, from: number, to: number): boolean {
    const { hpack } = this;
    const { ops } = line;
    if (line.isWanted) return false;
    const isSame = ops.count > 0 && ops.match(bytes, from, to, hpack.table) === ops.count;
    if (isSame) {
      this.begin(bytes, from, to);
      hpack.skipTo(ops.end);
      this.#found = this.#run.match(hpack);
      // Whatever else follows may be one more pseudo-field.
      if (this.#found > 0 || ops.end === to) {
        line.matched();
        this.#pending = false;
        this.#listBytes = line.listBytes;
        this.beginHead();
        line.take(this.fields, hpack, this.arena);
        return true;
      }
    } else line.missed();
    return false;
  }

  /** Octets that pseudo-fields counted in the list. */
  get lineBytes(): number {
    return this.#listBefore;
  }

  /** Reads up to the first field that is none; `allowed` is a set of bits as in `has`. */
  readPseudo(bytes: Uint8Array, from: number, to: number, allowed: number): Fault | undefined {
    const { hpack } = this;
    this.begin(bytes, from, to);
    this.#pending = false;
    const line = this.#line?.isWanted === true ? this.#line : undefined;
    line?.beginNotes();
    for (;;) {
      if (this.#seen !== 0) {
        this.#listBefore = this.#listBytes;
        this.#found = this.#run.match(hpack);
        if (this.#found > 0) return undefined;
      }
      const step = this.nextIn();
      if (step !== Step.field) {
        return step === Step.end ? undefined : ConnectionFault.compression;
      }
      this.#listBytes += hpack.size;
      if (this.#listBytes > this.#listBytesMax) return Unserved.tooLarge;
      if (hpack.kind < 128) {
        this.#pending = true;
        return undefined;
      }
      const bit = 1 << (hpack.kind - Pseudo.unknown);
      if ((allowed & bit) === 0) return Malformed.pseudoUnknown;
      if ((this.#seen & bit) !== 0) return Malformed.pseudoTwice;
      this.#seen |= bit;
      this.#start[hpack.kind - 128] = hpack.valueStart;
      this.#end[hpack.kind - 128] = hpack.valueEnd;
      line?.note(hpack);
      hpack.at = hpack.lineEnd;
    }
  }

  /** Starts the head in the arena; what was read lies in the scratch. */
  beginHead(): void {
    const { hpack } = this;
    const pending = this.#pendingField;
    pending.at = hpack.at;
    pending.kind = hpack.kind;
    pending.flaws = hpack.flaws;
    pending.nameEnd = hpack.nameEnd;
    pending.valueStart = hpack.valueStart;
    pending.valueEnd = hpack.valueEnd;
    pending.lineEnd = hpack.lineEnd;
    this.fields.begin();
  }

  /** Reads the fields into the head. */
  readFields(): Fault | undefined {
    return this.#run.isWanted ? this.#readAndLearn() : this.#readKnown();
  }

  /** What the run has of them is copied, the rest read. */
  #readKnown(): Fault | undefined {
    const { hpack, fields } = this;
    const run = this.#run;
    const count = this.#found;
    if (count === 0) {
      if (this.#pending) run.missed();
      return this.#readRest(undefined);
    }
    hpack.skipTo(run.end);
    this.#listBytes += run.listBytes(count);
    if (this.#listBytes > this.#listBytesMax) return Unserved.tooLarge;
    if (fields.head.fieldCount + count > fields.head.limits.fieldsMax) {
      return Unserved.tooManyFields;
    }
    run.take(count, fields, hpack);
    run.found(hpack);
    return this.#readRest(undefined);
  }

  #readAndLearn(): Fault | undefined {
    const run = this.#run;
    const { head } = this;
    const first = head.fieldCount;
    run.beginNotes();
    const fault = this.#readRest(run);
    if (fault === undefined) run.learn(head, first, this.arena);
    return fault;
  }

  /** `run`: notes what is taken. */
  #readRest(run: FieldRun | undefined): Fault | undefined {
    const { hpack, fields } = this;
    if (this.#pending) {
      this.#movePending();
      const fault = fields.take();
      if (fault !== undefined) return fault;
      run?.note(hpack, this.#listBytes - this.#listBefore);
    }
    for (;;) {
      const step = hpack.next();
      if (step === Step.field) {
        this.#listBytes += hpack.size;
        if (this.#listBytes > this.#listBytesMax) return Unserved.tooLarge;
        const fault = fields.take();
        if (fault !== undefined) return fault;
        run?.note(hpack, this.#listBytes - this.#listBefore);
      } else if (step === Step.room) fields.need(hpack.needed);
      else return step === Step.end ? undefined : ConnectionFault.compression;
    }
  }

  /** Decodes what is left for the table's sake. Returns why the connection cannot go on. */
  discard(): Fault | undefined {
    const { hpack } = this;
    hpack.out = this.arena.scratch;
    hpack.at = 0;
    for (;;) {
      const step = this.nextIn();
      if (step === Step.end) return undefined;
      if (step !== Step.field) return ConnectionFault.compression;
      this.#listBytes += hpack.size;
      if (this.#listBytes > bombFactor * this.#listBytesMax) return Flood.headerBomb;
    }
  }

  /** Decodes into the scratch, from the start of a block. */
  begin(bytes: Uint8Array, from: number, to: number): void {
    const { hpack } = this;
    hpack.begin(bytes, from, to);
    hpack.out = this.arena.scratch;
    hpack.at = 0;
    this.#listBytes = 0;
    this.#found = 0;
    this.#seen = 0;
  }

  /** The next field, in the scratch, which grows as it needs to. */
  nextIn(): Step {
    const { hpack, arena } = this;
    for (;;) {
      const step = hpack.next();
      if (step !== Step.room) return step;
      const larger = new Uint8Array(2 * (hpack.at + hpack.needed));
      copyRange.call(arena.scratch, larger, 0, 0, hpack.at);
      arena.scratch = larger;
      hpack.out = larger;
    }
  }

  /** Counts the field that was read last; false: the list is too large. */
  count(): boolean {
    this.#listBytes += this.hpack.size;
    return this.#listBytes <= this.#listBytesMax;
  }

  #movePending(): void {
    const { hpack, fields } = this;
    const pending = this.#pendingField;
    const length = pending.lineEnd - pending.at;
    fields.need(length);
    const by = hpack.at - pending.at;
    copyRange.call(this.arena.scratch, hpack.out, hpack.at, pending.at, pending.lineEnd);
    hpack.kind = pending.kind;
    hpack.flaws = pending.flaws;
    hpack.nameEnd = pending.nameEnd + by;
    hpack.valueStart = pending.valueStart + by;
    hpack.valueEnd = pending.valueEnd + by;
    hpack.lineEnd = pending.lineEnd + by;
  }
}
