/**
 * Writes heads into an output buffer: a scanned head with edits, in as few copies as possible.
 *
 *   begin(at)
 *   request(head) | requestTo(head, target) | response(head)    the start line, always HTTP/1.1
 *   fields(head)                                                every field not dropped, as it came
 *   add(lines), contentLength(n), chunked(), close(), …         what we say ourselves
 *   end()                                                       the empty line
 *
 * Nothing is written past the buffer: `overflowed` says so, and the head must then not be sent.
 */
import { copyRange } from "../core/copy-range.ts";
import { FieldId } from "../http/field-id.ts";
import { type MessageHead, TargetForm } from "../http/message-head.ts";
import { MethodId } from "../http/method.ts";
import { Ascii } from "../http/octet.ts";

const encoder = new TextEncoder();
const nothing = new Uint8Array(0);
const text = {
  version: encoder.encode(" HTTP/1.1\r\n"),
  host: encoder.encode("host: "),
  slash: encoder.encode("/"),
  star: encoder.encode("*"),
  question: encoder.encode("?"),
  status: encoder.encode("HTTP/1.1 "),
  separator: encoder.encode(": "),
  crlf: encoder.encode("\r\n"),
  contentLength: encoder.encode("content-length: "),
  chunked: encoder.encode("transfer-encoding: chunked\r\n"),
  close: encoder.encode("connection: close\r\n"),
  upgrade: encoder.encode("connection: upgrade\r\nupgrade: websocket\r\n"),
};

/** Up to this many octets a loop beats a native copy. */
const loopBytesMax = 20;

export class HeadWriter {
  /** May be replaced between heads. */
  out: Uint8Array;
  /** Where the next octet goes. */
  at = 0;
  overflowed = false;
  /** A start line that is still to be copied, so that it joins the fields after it: one copy. */
  #pending: Uint8Array = nothing;
  #pendingStart = 0;
  #pendingEnd = 0;

  constructor(out: Uint8Array) {
    this.out = out;
  }

  /** Starts a head at `at` of the output. */
  begin(at: number): void {
    this.at = at;
    this.overflowed = false;
    this.#pendingEnd = 0;
    this.#pendingStart = 0;
  }

  /**
   * The request line. An absolute target becomes its path: Host names the authority, and is added
   * where an HTTP/1.0 client left it out.
   */
  request(head: MessageHead): void {
    const { bytes } = head;
    if (head.form === TargetForm.absolute) {
      this.addRange(bytes, head.start, head.methodEnd + 1);
      this.#originOf(head);
      this.add(text.version);
    } else if (bytes[head.targetEnd + 8] === Ascii.zero + 1) {
      this.#hold(bytes, head.start, head.targetEnd + 11);
    } else {
      this.addRange(bytes, head.start, head.targetEnd);
      this.add(text.version);
    }
    if (head.firstOf[FieldId.host] === -1) this.#host(head);
  }

  /** The request line with another target: path and query, or "*". */
  requestTo(head: MessageHead, target: Uint8Array): void {
    this.addRange(head.bytes, head.start, head.methodEnd + 1);
    this.add(target);
    this.add(text.version);
    if (head.firstOf[FieldId.host] === -1) this.#host(head);
  }

  /** The status line, as HTTP/1.1. */
  response(head: MessageHead): void {
    const { bytes, start } = head;
    if (bytes[start + 7] === Ascii.zero + 1 && head.reasonStart === start + 13) {
      this.#hold(bytes, start, head.reasonEnd + 2);
      return;
    }
    this.add(text.status);
    this.addRange(bytes, start + 9, start + 12);
    this.#octet(Ascii.space);
    this.addRange(bytes, head.reasonStart, head.reasonEnd);
    this.add(text.crlf);
  }

  /**
   * Every field that is not dropped, in order, with the letters that it came with. Adjacent lines
   * are one copy; fields that frame or route are respaced where a reader could trip over blanks.
   */
  fields(head: MessageHead): void {
    const { bytes, fieldCount, nameStart, dropped, fieldId } = head;
    let start = nameStart[0]!;
    if (this.#pendingEnd === start && this.#pending === bytes) {
      start = this.#pendingStart;
      this.#pendingEnd = 0;
    }
    for (let i = 0; i < fieldCount; i++) {
      const id = fieldId[i]!;
      if (dropped[i] === 0 && (id === 0 || id > 3 || isPlain(head, i))) continue;
      if (nameStart[i]! > start) this.addRange(bytes, start, nameStart[i]!);
      start = nameStart[i + 1]!;
      if (dropped[i] === 0) this.#respaced(head, i);
    }
    if (nameStart[fieldCount]! > start) this.addRange(bytes, start, nameStart[fieldCount]!);
  }

  /** Prepared octets: whole lines, each with its CRLF. */
  add(lines: Uint8Array): void {
    this.addRange(lines, 0, lines.length);
  }

  /** A range of some buffer. */
  addRange(bytes: Uint8Array, from: number, to: number): void {
    if (this.#pendingEnd > 0) this.#release();
    const length = to - from;
    const { out } = this;
    let at = this.at;
    if (at + length > out.length) {
      this.overflowed = true;
      return;
    }
    this.at = at + length;
    if (length > loopBytesMax) {
      copyRange.call(bytes, out, at, from, to);
      return;
    }
    for (let i = from; i < to; i++) out[at++] = bytes[i]!;
  }

  contentLength(length: number): void {
    this.add(text.contentLength);
    this.#decimal(length);
    this.add(text.crlf);
  }

  /** transfer-encoding: chunked. */
  chunked(): void {
    this.add(text.chunked);
  }

  /** connection: close. */
  close(): void {
    this.add(text.close);
  }

  /** connection: upgrade, upgrade: websocket. */
  upgrade(): void {
    this.add(text.upgrade);
  }

  /** The empty line; returns the offset past the head, or -1 where the output was too small. */
  end(): number {
    this.add(text.crlf);
    return this.overflowed ? -1 : this.at;
  }

  #hold(bytes: Uint8Array, from: number, to: number): void {
    this.#pending = bytes;
    this.#pendingStart = from;
    this.#pendingEnd = to;
  }

  #release(): void {
    const end = this.#pendingEnd;
    this.#pendingEnd = 0;
    this.addRange(this.#pending, this.#pendingStart, end);
  }

  /** Path and query of an absolute target; OPTIONS without either asks the server itself. */
  #originOf(head: MessageHead): void {
    const { bytes, pathStart, pathEnd, queryStart, queryEnd } = head;
    if (pathEnd === pathStart) {
      this.add(head.method === MethodId.options && queryStart < 0 ? text.star : text.slash);
    } else this.addRange(bytes, pathStart, pathEnd);
    if (queryStart < 0) return;
    this.add(text.question);
    this.addRange(bytes, queryStart, queryEnd);
  }

  #host(head: MessageHead): void {
    this.add(text.host);
    if (head.authorityStart >= 0) {
      this.addRange(head.bytes, head.authorityStart, head.authorityEnd);
    }
    this.add(text.crlf);
  }

  #respaced(head: MessageHead, i: number): void {
    this.addRange(head.bytes, head.nameStart[i]!, head.nameEnd[i]!);
    this.add(text.separator);
    this.addRange(head.bytes, head.valueStart[i]!, head.valueEnd[i]!);
    this.add(text.crlf);
  }

  #octet(octet: number): void {
    if (this.at < this.out.length) this.out[this.at++] = octet;
    else this.overflowed = true;
  }

  #decimal(value: number): void {
    if (this.at + 16 > this.out.length) {
      this.overflowed = true;
      return;
    }
    let digits = 1;
    for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) digits++;
    let rest = value;
    for (let at = this.at + digits - 1; at >= this.at; at--) {
      this.out[at] = Ascii.zero + (rest % 10);
      rest = Math.floor(rest / 10);
    }
    this.at += digits;
  }
}

/** One space after the colon and none at the end: what every reader understands alike. */
function isPlain(head: MessageHead, i: number): boolean {
  return (
    head.valueStart[i]! - head.nameEnd[i]! === 2 &&
    head.bytes[head.nameEnd[i]! + 1] === Ascii.space &&
    head.nameStart[i + 1]! - head.valueEnd[i]! === 2
  );
}
