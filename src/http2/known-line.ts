/**
 * What the pseudo-fields of a connection's last request made of a head: request line and Host, and
 * where their parts are. Requests for the same target need no more than a copy of it.
 */
import { copyRange } from "../core/copy-range.ts";
import { FieldId } from "../http/field-id.ts";
import { TargetForm } from "../http/message-head.ts";
import { MethodId } from "../http/method.ts";
import { noBytes } from "./buffer-pool.ts";
import type { HeadArena } from "./head-arena.ts";
import type { HeadFields } from "./head-fields.ts";
import type { HpackDecoder } from "./hpack-decoder.ts";
import { OpRun } from "./op-run.ts";

/** As in field-run.ts: where every request has another target, few are learned. */
const missesMax = 8;
const retriedEach = 16;

export class KnownLine {
  readonly ops: OpRun = new OpRun();
  /** What the pseudo-fields count in a list. */
  listBytes = 0;
  schemeIsHttps = false;
  /** The request under way becomes the known one. */
  isWanted = true;
  #isNoting = false;
  #misses = 0;
  #lines = noBytes;
  /** Of the lines; 0: not asked for yet. */
  #id = 0;
  #method: MethodId = MethodId.other;
  #form: TargetForm = TargetForm.origin;
  #methodEnd = 0;
  #targetEnd = 0;
  #pathEnd = 0;
  #queryStart = -1;
  #authorityStart = 0;
  #authorityEnd = 0;
  #hostEnd = 0;
  #port = 0;
  #nameStart = 0;

  beginNotes(): void {
    this.ops.count = 0;
    this.#isNoting = true;
  }

  note(hpack: HpackDecoder): void {
    if (this.#isNoting && !this.ops.add(hpack)) this.#isNoting = false;
  }

  matched(): void {
    if (this.#misses > 0) this.#misses--;
  }

  missed(): void {
    const misses = ++this.#misses;
    this.isWanted = misses <= missesMax || misses % retriedEach === 0;
  }

  /** The head in `fields` is good, and its pseudo-fields were noted. */
  learn(fields: HeadFields, listBytes: number, schemeIsHttps: boolean): void {
    const { head } = fields;
    this.isWanted = false;
    const isOrdinary = head.method !== MethodId.connect && !head.upgradesToWebsocket;
    if (!this.#isNoting || !isOrdinary || !fields.hasAuthority) {
      this.ops.count = 0;
      return;
    }
    const { start } = head;
    this.#id = 0;
    this.listBytes = listBytes;
    this.schemeIsHttps = schemeIsHttps;
    this.#lines = head.bytes.slice(start, head.valueEnd[0]! + 2);
    this.#method = head.method;
    this.#form = head.form;
    this.#methodEnd = head.methodEnd - start;
    this.#targetEnd = head.targetEnd - start;
    this.#pathEnd = head.pathEnd - start;
    this.#queryStart = head.queryStart < 0 ? -1 : head.queryStart - start;
    this.#authorityStart = head.authorityStart - start;
    this.#authorityEnd = head.authorityEnd - start;
    this.#hostEnd = head.hostEnd - start;
    this.#port = head.port;
    this.#nameStart = head.nameStart[0]! - start;
  }

  /** Puts it into the head that is begun. */
  take(fields: HeadFields, hpack: HpackDecoder, arena: HeadArena): void {
    const lines = this.#lines;
    // Not before it is of use: most lines never come again.
    if (this.#id === 0) this.#id = arena.requestLineIds.idOf(lines);
    const { length } = lines;
    fields.need(length);
    const { head } = fields;
    const { at } = hpack;
    copyRange.call(lines, hpack.out, at, 0, length);
    hpack.at = at + length;
    head.lineId = this.#id;
    head.method = this.#method;
    head.form = this.#form;
    head.methodEnd = at + this.#methodEnd;
    head.targetStart = at + this.#methodEnd + 1;
    head.targetEnd = at + this.#targetEnd;
    head.pathStart = head.targetStart;
    head.pathEnd = at + this.#pathEnd;
    head.queryStart = this.#queryStart < 0 ? -1 : at + this.#queryStart;
    head.queryEnd = this.#queryStart < 0 ? -1 : head.targetEnd;
    head.authorityStart = at + this.#authorityStart;
    head.authorityEnd = at + this.#authorityEnd;
    head.hostEnd = at + this.#hostEnd;
    head.port = this.#port;
    head.fieldId[0] = FieldId.host;
    head.nameStart[0] = at + this.#nameStart;
    head.nameEnd[0] = head.nameStart[0]! + 4;
    head.valueStart[0] = head.nameStart[0]! + 6;
    head.valueEnd[0] = at + length - 2;
    head.dropped[0] = 0;
    head.fieldCount = 1;
    fields.note(FieldId.host, 0);
    fields.hasAuthority = true;
  }
}
