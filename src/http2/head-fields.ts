/**
 * Collects the fields of one message where its head will lie: lines of HTTP/1.1 in the arena, their
 * places in a MessageHead. What HTTP/2 forbids is found here; what the message then means is for
 * request-section.ts and response-section.ts.
 */
import { copyRange } from "../core/copy-range.ts";
import { isSameAuthority } from "../http/authority.ts";
import { equalsWord } from "../http/connection-option.ts";
import { FieldId, fieldIdCount } from "../http/field-id.ts";
import type { MessageHead } from "../http/message-head.ts";
import { Ascii } from "../http/octet.ts";
import { noBytes } from "./buffer-pool.ts";
import { type Fault, Malformed, Unserved } from "./fault.ts";
import { Flaw } from "./field-kind.ts";
import type { HeadArena } from "./head-arena.ts";
import type { HpackDecoder } from "./hpack-decoder.ts";

/** What a field needs besides being recorded. */
const Care = { none: 0, refused: 1, te: 2, dropped: 3, cookie: 4, host: 5 } as const;
const careOf = new Uint8Array(fieldIdCount);
for (const id of [
  FieldId.connection,
  FieldId.keepAlive,
  FieldId.proxyConnection,
  FieldId.transferEncoding,
  FieldId.upgrade,
]) {
  careOf[id] = Care.refused;
}
careOf[FieldId.te] = Care.te;
careOf[FieldId.http2Settings] = Care.dropped;
careOf[FieldId.cookie] = Care.cookie;
careOf[FieldId.host] = Care.host;

const encoder = new TextEncoder();
const words = { trailers: encoder.encode("trailers"), cookie: encoder.encode("cookie: ") };
/** Beyond what is asked for, so that few heads have to move twice. */
const spareBytes = 1024;

export class HeadFields {
  readonly head: MessageHead;
  readonly #arena: HeadArena;
  readonly #hpack: HpackDecoder;
  /** Where the head begins in the slab. */
  #start = 0;
  /** The field with the cookies, while they are in place; -1: none came yet. */
  #cookie = -1;
  #jar = noBytes;
  #jarLength = 0;
  #inJar = false;
  #hosts = 0;
  /** A Host line was made of :authority: a Host field must say the same, and is left out. */
  hasAuthority = false;

  constructor(head: MessageHead, arena: HeadArena, hpack: HpackDecoder) {
    this.head = head;
    this.#arena = arena;
    this.#hpack = hpack;
  }

  /** Where the next octet of the head goes. */
  get at(): number {
    return this.#hpack.at;
  }

  /** Begins a head in the arena: the decoder writes there from now on. */
  begin(): void {
    const { head } = this;
    const arena = this.#arena;
    for (let i = 0; i < head.fieldCount; i++) head.firstOf[head.fieldId[i]!] = -1;
    head.fieldCount = 0;
    head.runCount = 0;
    head.lineId = 0;
    head.repeated = 0;
    if (arena.at + spareBytes > arena.slab.length) arena.renew(0);
    this.#start = arena.at;
    this.#cookie = -1;
    this.#jarLength = 0;
    this.#inJar = false;
    this.#hosts = 0;
    this.hasAuthority = false;
    this.#hpack.out = arena.slab;
    this.#hpack.at = arena.at;
    head.bytes = arena.slab;
    head.start = arena.at;
  }

  /** Room for so many octets more; the head may move, and offsets of fields with it. */
  need(bytes: number): void {
    const hpack = this.#hpack;
    if (hpack.at + bytes <= hpack.out.length) return;
    const arena = this.#arena;
    const { head } = this;
    const start = this.#start;
    const old = hpack.out;
    arena.renew(hpack.at - start + bytes + spareBytes);
    copyRange.call(old, arena.slab, 0, start, hpack.at);
    for (let i = 0; i < head.fieldCount; i++) {
      head.nameStart[i]! -= start;
      head.nameEnd[i]! -= start;
      head.valueStart[i]! -= start;
      head.valueEnd[i]! -= start;
    }
    moveStartLine(head, start);
    this.#start = 0;
    head.bytes = arena.slab;
    hpack.out = arena.slab;
    hpack.at -= start;
  }

  /** Copies octets; room must be there. */
  add(bytes: Uint8Array, from: number, to: number): void {
    const hpack = this.#hpack;
    copyRange.call(bytes, hpack.out, hpack.at, from, to);
    hpack.at += to - from;
  }

  octet(octet: number): void {
    this.#hpack.out[this.#hpack.at++] = octet;
  }

  /** Takes the field that the decoder has written at `at`. */
  take(): Fault | undefined {
    const hpack = this.#hpack;
    const { kind } = hpack;
    if (kind >= 128) return Malformed.pseudoOrder;
    if (hpack.flaws !== 0) {
      return (hpack.flaws & Flaw.name) !== 0 ? Malformed.name : Malformed.value;
    }
    const care = careOf[kind]!;
    if (care !== Care.none) {
      if (care === Care.refused) return Malformed.connection;
      if (care === Care.te && !this.#isWord(words.trailers)) return Malformed.te;
      if (care === Care.cookie && this.#addCrumb()) return undefined;
      if (care === Care.host) return this.#takeHost();
    }
    return this.record(care === Care.te || care === Care.dropped ? 1 : 0);
  }

  /** Keeps the line that the decoder has written. */
  record(dropped: number): Fault | undefined {
    const { head } = this;
    const hpack = this.#hpack;
    const count = head.fieldCount;
    if (count === head.limits.fieldsMax) return Unserved.tooManyFields;
    const { kind } = hpack;
    if (kind !== FieldId.other) this.note(kind, count);
    head.fieldId[count] = kind;
    head.nameStart[count] = hpack.at;
    head.nameEnd[count] = hpack.nameEnd;
    head.valueStart[count] = hpack.valueStart;
    head.valueEnd[count] = hpack.valueEnd;
    head.dropped[count] = dropped;
    head.fieldCount = count + 1;
    hpack.at = hpack.lineEnd;
    return undefined;
  }

  /** A prepared line, CRLF included, whose name has so many octets. */
  addField(line: Uint8Array, nameLength: number, kind: FieldId, dropped: number): void {
    const hpack = this.#hpack;
    this.need(line.length);
    const { at } = hpack;
    copyRange.call(line, hpack.out, at, 0, line.length);
    hpack.kind = kind;
    hpack.nameEnd = at + nameLength;
    hpack.valueStart = hpack.nameEnd + 2;
    hpack.valueEnd = at + line.length - 2;
    hpack.lineEnd = at + line.length;
    this.record(dropped);
  }

  /** The empty line. The head is whole; its octets stay as they are from now on. */
  finish(): Fault | undefined {
    const { head } = this;
    if (this.#inJar) {
      const fault = this.#emptyJar();
      if (fault !== undefined) return fault;
    }
    this.need(2);
    const hpack = this.#hpack;
    head.bytes = hpack.out;
    head.start = this.#start;
    head.nameStart[head.fieldCount] = hpack.at;
    hpack.out[hpack.at++] = Ascii.cr;
    hpack.out[hpack.at++] = Ascii.lf;
    head.end = hpack.at;
    head.runBytes = head.bytes;
    head.runStart = head.start;
    return head.end - head.start > head.limits.headBytesMax ? Unserved.tooLarge : undefined;
  }

  /** The head is good: its place in the arena is taken. */
  keep(): void {
    this.#arena.at = this.#hpack.at;
  }

  /** Field `index` is of a kind that is known. */
  note(kind: number, index: number): void {
    const { head } = this;
    if (head.firstOf[kind] === -1) head.firstOf[kind] = index;
    else if (kind < 32) head.repeated |= 1 << kind;
  }

  /** RFC 9113 8.3.1: Host is malformed where it differs from :authority. */
  #takeHost(): Fault | undefined {
    const hpack = this.#hpack;
    if (++this.#hosts > 1) return Malformed.hostTwice;
    if (!this.hasAuthority) return this.record(0);
    const same = isSameAuthority(hpack.out, hpack.valueStart, hpack.valueEnd, this.head);
    return same ? undefined : Malformed.hostDiffers;
  }

  #isWord(word: Uint8Array): boolean {
    const hpack = this.#hpack;
    return equalsWord(hpack.out, hpack.valueStart, hpack.valueEnd, word);
  }

  /**
   * Cookies come in crumbs, and are one field for everybody else (RFC 9113 8.2.3). True: the crumb
   * was put to those before it; false: it is the first, an ordinary line.
   */
  #addCrumb(): boolean {
    const { head } = this;
    const hpack = this.#hpack;
    const cookie = this.#cookie;
    if (cookie === -1) {
      this.#cookie = head.fieldCount;
      return false;
    }
    if (hpack.valueStart === hpack.valueEnd) return true;
    if (!this.#inJar && cookie === head.fieldCount - 1) {
      const { out } = hpack;
      let at = head.valueEnd[cookie]!;
      if (at > head.valueStart[cookie]!) {
        out[at++] = Ascii.semicolon;
        out[at++] = Ascii.space;
      }
      out.copyWithin(at, hpack.valueStart, hpack.lineEnd);
      head.valueEnd[cookie] = at + hpack.valueEnd - hpack.valueStart;
      hpack.at = head.valueEnd[cookie]! + 2;
      return true;
    }
    if (!this.#inJar) this.#fillJar(cookie);
    if (this.#jarLength > 0) this.#toJar(semicolon, 0, 2);
    this.#toJar(hpack.out, hpack.valueStart, hpack.valueEnd);
    return true;
  }

  /** Takes the line of the cookies out of the head: the rest comes too late for its place. */
  #fillJar(cookie: number): void {
    const { head } = this;
    const hpack = this.#hpack;
    this.#inJar = true;
    const from = head.nameStart[cookie]!;
    const to = head.nameStart[cookie + 1]!;
    this.#toJar(hpack.out, head.valueStart[cookie]!, head.valueEnd[cookie]!);
    const length = to - from;
    hpack.out.copyWithin(from, to, hpack.lineEnd);
    for (let i = cookie + 1; i < head.fieldCount; i++) {
      head.fieldId[i - 1] = head.fieldId[i]!;
      head.nameStart[i - 1] = head.nameStart[i]! - length;
      head.nameEnd[i - 1] = head.nameEnd[i]! - length;
      head.valueStart[i - 1] = head.valueStart[i]! - length;
      head.valueEnd[i - 1] = head.valueEnd[i]! - length;
      head.dropped[i - 1] = head.dropped[i]!;
    }
    head.fieldCount--;
    head.firstOf.fill(-1);
    head.repeated = 0;
    for (let i = 0; i < head.fieldCount; i++) {
      if (head.fieldId[i] !== FieldId.other) this.note(head.fieldId[i]!, i);
    }
    hpack.at -= length;
    hpack.valueStart -= length;
    hpack.valueEnd -= length;
    hpack.lineEnd -= length;
  }

  #toJar(bytes: Uint8Array, from: number, to: number): void {
    const length = this.#jarLength + to - from;
    if (length > this.#jar.length) {
      const jar = new Uint8Array(Math.max(length * 2, 256));
      copyRange.call(this.#jar, jar, 0, 0, this.#jarLength);
      this.#jar = jar;
    }
    copyRange.call(bytes, this.#jar, this.#jarLength, from, to);
    this.#jarLength = length;
  }

  #emptyJar(): Fault | undefined {
    const length = this.#jarLength;
    this.need(words.cookie.length + length + 2);
    const hpack = this.#hpack;
    const { at, out } = hpack;
    out.set(words.cookie, at);
    hpack.kind = FieldId.cookie;
    hpack.nameEnd = at + words.cookie.length - 2;
    hpack.valueStart = at + words.cookie.length;
    hpack.valueEnd = hpack.valueStart + length;
    copyRange.call(this.#jar, out, hpack.valueStart, 0, length);
    out[hpack.valueEnd] = Ascii.cr;
    out[hpack.valueEnd + 1] = Ascii.lf;
    hpack.lineEnd = hpack.valueEnd + 2;
    this.#jar = noBytes;
    this.#jarLength = 0;
    return this.record(0);
  }
}

const semicolon = encoder.encode("; ");

/** The start line of a head that was moved. */
function moveStartLine(head: MessageHead, by: number): void {
  head.start -= by;
  head.methodEnd -= by;
  head.targetStart -= by;
  head.targetEnd -= by;
  head.pathStart -= by;
  head.pathEnd -= by;
  if (head.queryStart !== -1) {
    head.queryStart -= by;
    head.queryEnd -= by;
  }
  if (head.authorityStart !== -1) {
    head.authorityStart -= by;
    head.authorityEnd -= by;
    head.hostEnd -= by;
  }
  head.reasonStart -= by;
  head.reasonEnd -= by;
}
