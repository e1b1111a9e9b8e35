/**
 * Writes heads as field blocks into the output of a stream's session, in the manner of
 * http1/head-writer.ts; one for all sessions of a thread:
 *
 *   begin(stream)                       false: the stream cannot send a head any more, stop here
 *   request(head, target, authority) | response(head) | status(code)
 *   fields(head), add(lines), addOnce(lines, length), contentLength(n)
 *   end(ends)                           true: END_STREAM with the head
 *
 * What is of one connection of HTTP/1.1 is left out by itself, and for websockets the two fields of
 * RFC 8441 5. `te: trailers` is sent again where a request's head says acceptsTrailers.
 */
import { copyRange } from "../core/copy-range.ts";
import { FieldId } from "../http/field-id.ts";
import { type MessageHead, TargetForm } from "../http/message-head.ts";
import { MethodId } from "../http/method.ts";
import { Ascii } from "../http/octet.ts";
import { Pseudo } from "./field-kind.ts";
import { Flag, FrameType, frameHeaderBytes } from "./frame.ts";
import type { HpackEncoder } from "./hpack-encoder.ts";
import type { OutputBuffer } from "./output-buffer.ts";
import { isHopByHop, PreparedLines, putLines } from "./prepared-lines.ts";
import type { Stream } from "./stream.ts";

const encoder = new TextEncoder();
const text = {
  method: encoder.encode(":method"),
  path: encoder.encode(":path"),
  authority: encoder.encode(":authority"),
  status: encoder.encode(":status"),
  protocol: encoder.encode(":protocol"),
  connect: encoder.encode("CONNECT"),
  websocket: encoder.encode("websocket"),
  te: encoder.encode("te"),
  trailers: encoder.encode("trailers"),
  contentLength: encoder.encode("content-length"),
  star: encoder.encode("*"),
  slash: encoder.encode("/"),
  key: encoder.encode("sec-websocket-key"),
  accept: encoder.encode("sec-websocket-accept"),
};

/** Indexes of the static table (RFC 7541 Appendix A). */
const Index = { get: 2, post: 3, slash: 4, http: 6, https: 7 } as const;
const statusIndex: Readonly<Record<number, number>> = {
  200: 8,
  204: 9,
  206: 10,
  304: 11,
  400: 12,
  404: 13,
  500: 14,
};

export class HeadBlockWriter {
  readonly #prepared = new PreparedLines();
  #stream: Stream | undefined = undefined;
  #out!: OutputBuffer;
  #encoder!: HpackEncoder;
  /** Where the frame begins, as counted by OutputBuffer.base. */
  #at = 0;
  #websocket = false;
  #isInterim = false;
  #line = new Uint8Array(256);

  /** False: a final head was sent, or our half is over; nothing may be written then. */
  begin(stream: Stream): boolean {
    if (stream.localEnded || stream.headSent) return false;
    this.#stream = stream;
    const { out } = stream.owner;
    this.#out = out;
    this.#encoder = stream.owner.encoder;
    this.#isInterim = false;
    this.#websocket = stream.isWebsocket;
    out.reserve(frameHeaderBytes);
    this.#at = out.base + out.end;
    out.end += frameHeaderBytes;
    this.#encoder.begin();
    return true;
  }

  /**
   * The pseudo-fields of a request. `target`: path and query instead of the head's; `authority`:
   * instead of the head's. A head that upgradesToWebsocket becomes an extended CONNECT.
   */
  request(
    head: MessageHead,
    target: Uint8Array | undefined,
    authority: Uint8Array | undefined,
  ): void {
    const stream = this.#stream!;
    stream.requestMethod = head.method;
    this.#websocket = head.upgradesToWebsocket;
    stream.isWebsocket = head.upgradesToWebsocket;
    const isAgain =
      head.lineId !== 0 &&
      target === undefined &&
      authority === undefined &&
      head.runBytes === head.bytes &&
      head.runStart === head.start;
    if (!isAgain) return this.#request(head, target, authority);
    const out = this.#out;
    const hpack = this.#encoder;
    if (hpack.sentLines.repeat(head, hpack.version, out)) return;
    const { changes } = hpack;
    const from = out.base + out.end;
    this.#request(head, target, authority);
    const length = out.base + out.end - from;
    if (hpack.changes === changes) hpack.sentLines.keep(head, hpack.version, out, length);
  }

  #request(
    head: MessageHead,
    target: Uint8Array | undefined,
    authority: Uint8Array | undefined,
  ): void {
    const stream = this.#stream!;
    const { method } = head;
    if (this.#websocket) {
      this.#pseudo(Pseudo.method, text.method, text.connect);
      this.#pseudo(Pseudo.protocol, text.protocol, text.websocket);
    } else if (method === MethodId.get) this.#encoder.indexed(Index.get);
    else if (method === MethodId.post) this.#encoder.indexed(Index.post);
    else this.#pseudoRange(Pseudo.method, head.bytes, head.start, head.methodEnd);
    if (method !== MethodId.connect) {
      this.#encoder.indexed(stream.owner.schemeIsHttps ? Index.https : Index.http);
      if (target !== undefined) this.#pseudo(Pseudo.path, text.path, target);
      else this.#path(head);
    }
    if (authority !== undefined) this.#pseudo(Pseudo.authority, text.authority, authority);
    else if (head.authorityStart >= 0) {
      this.#pseudoRange(Pseudo.authority, head.bytes, head.authorityStart, head.authorityEnd);
    }
    if (head.acceptsTrailers) this.#put(FieldId.te, text.te, text.trailers);
  }

  /** :status of the head; 101 becomes 200 on a stream that isWebsocket. */
  response(head: MessageHead): void {
    this.status(head.status === 101 ? 200 : head.status);
  }

  status(code: number): void {
    this.#isInterim = code < 200;
    const index = statusIndex[code];
    if (index !== undefined) return this.#encoder.indexed(index);
    this.#decimal(Pseudo.status, text.status, code);
  }

  /** Every field that is not dropped, in order, names in lower case. */
  fields(head: MessageHead): void {
    const { fieldCount, runFrom, runCount } = head;
    const isAgain =
      runCount > 0 &&
      head.runBytes === head.bytes &&
      head.runStart === head.start &&
      !this.#websocket;
    if (!isAgain) return this.#fields(head, 0, fieldCount);
    this.#fields(head, 0, runFrom);
    const hpack = this.#encoder;
    const count = hpack.sent.repeat(head, hpack.version, this.#out);
    if (count === 0) this.#runFields(head);
    this.#fields(head, runFrom + (count === 0 ? runCount : count), fieldCount);
  }

  /** The fields of the head's run, kept as they are written. */
  #runFields(head: MessageHead): void {
    const out = this.#out;
    const { changes, sent } = this.#encoder;
    const { runFrom, runCount } = head;
    const from = out.base + out.end;
    for (let i = 0; i < runCount; i++) {
      this.#fields(head, runFrom + i, runFrom + i + 1);
      sent.note(i, out, from);
    }
    if (this.#encoder.changes === changes) sent.keep(head, this.#encoder.version, out);
  }

  #fields(head: MessageHead, first: number, end: number): void {
    const { nameStart, nameEnd, valueStart, valueEnd, dropped, fieldId } = head;
    const hpack = this.#encoder;
    for (let i = first; i < end; i++) {
      const id = fieldId[i]!;
      if (dropped[i] !== 0 || (id !== 0 && id < 12 && isHopByHop(id))) continue;
      if (this.#websocket && isForHandshake(head, i)) continue;
      hpack.bytes = head.bytes;
      hpack.nameStart = nameStart[i]!;
      hpack.nameEnd = nameEnd[i]!;
      hpack.valueStart = valueStart[i]!;
      hpack.valueEnd = valueEnd[i]!;
      hpack.kind = id;
      hpack.put();
    }
  }

  /**
   * Prepared HTTP/1.1 lines, each with its CRLF. They are encoded once for each array that comes
   * often, so the array must not change.
   */
  add(lines: Uint8Array): void {
    if (lines.length === 0) return;
    const block = this.#prepared.blockOf(lines);
    this.#out.reserve(block.length);
    this.#out.range(block, 0, block.length);
  }

  /** The same for an array that comes once, or is written anew each time: lines[0, length). */
  addOnce(lines: Uint8Array, length: number = lines.length): void {
    putLines(this.#encoder, lines, 0, length);
  }

  contentLength(length: number): void {
    this.#decimal(FieldId.contentLength, text.contentLength, length);
  }

  /** Completes the frames. An interim response never ends the stream. */
  end(ends: boolean): void {
    const stream = this.#stream!;
    const out = this.#out;
    const at = this.#at;
    const closes = ends && !this.#isInterim;
    const length = out.base + out.end - at - frameHeaderBytes;
    const flags = closes ? Flag.endStream : 0;
    const { frameBytesMax } = stream.owner.peer;
    if (length <= frameBytesMax) {
      const end = out.end;
      out.end = at - out.base;
      out.header(length, FrameType.headers, flags | Flag.endHeaders, stream.id);
      out.end = end;
    } else this.#split(length, frameBytesMax, flags);
    this.#stream = undefined;
    if (!this.#isInterim) stream.headSent = true;
    stream.owner.headWritten(stream, this.#isInterim ? -1 : at, closes);
  }

  /** A block longer than a frame: HEADERS and CONTINUATION, the last pieces moved first. */
  #split(length: number, max: number, flags: number): void {
    const out = this.#out;
    const { id } = this.#stream!;
    const frames = Math.ceil(length / max);
    out.reserve((frames - 1) * frameHeaderBytes);
    const start = this.#at - out.base;
    for (let i = frames - 1; i >= 0; i--) {
      const from = start + frameHeaderBytes + i * max;
      const size = Math.min(max, length - i * max);
      const to = start + i * (max + frameHeaderBytes);
      out.bytes.copyWithin(to + frameHeaderBytes, from, from + size);
      out.end = to;
      const last = i === frames - 1 ? Flag.endHeaders : 0;
      if (i === 0) out.header(size, FrameType.headers, flags | last, id);
      else out.header(size, FrameType.continuation, last, id);
    }
    out.end = start + length + frames * frameHeaderBytes;
  }

  #path(head: MessageHead): void {
    const { bytes, pathStart, pathEnd, queryStart, queryEnd } = head;
    if (pathEnd > pathStart) {
      const to = queryStart < 0 ? pathEnd : queryEnd;
      if (to - pathStart === 1 && bytes[pathStart] === Ascii.slash) {
        return this.#encoder.indexed(Index.slash);
      }
      return this.#pseudoRange(Pseudo.path, bytes, pathStart, to);
    }
    // An absolute target without a path; OPTIONS asks the server itself (RFC 9112 3.2.4).
    if (queryStart < 0) {
      const asterisk = head.method === MethodId.options && head.form === TargetForm.absolute;
      return this.#pseudo(Pseudo.path, text.path, asterisk ? text.star : text.slash);
    }
    const path = new Uint8Array(queryEnd - queryStart + 2);
    path[0] = Ascii.slash;
    copyRange.call(bytes, path, 1, queryStart - 1, queryEnd);
    this.#pseudo(Pseudo.path, text.path, path);
  }

  #pseudo(kind: number, name: Uint8Array, value: Uint8Array): void {
    this.#stage(kind, name, value.length);
    copyRange.call(value, this.#line, name.length + 2, 0, value.length);
    this.#encoder.put();
  }

  #pseudoRange(kind: number, bytes: Uint8Array, from: number, to: number): void {
    const name =
      kind === Pseudo.path ? text.path : kind === Pseudo.authority ? text.authority : text.method;
    this.#stage(kind, name, to - from);
    copyRange.call(bytes, this.#line, name.length + 2, from, to);
    this.#encoder.put();
  }

  #put(kind: number, name: Uint8Array, value: Uint8Array): void {
    this.#pseudo(kind, name, value);
  }

  /** Puts the name into the line and tells the encoder where the parts of the line are. */
  #stage(kind: number, name: Uint8Array, valueLength: number): void {
    const length = name.length + 2 + valueLength;
    if (length > this.#line.length) this.#line = new Uint8Array(2 * length);
    const line = this.#line;
    for (let i = 0; i < name.length; i++) line[i] = name[i]!;
    const hpack = this.#encoder;
    hpack.bytes = line;
    hpack.kind = kind;
    hpack.nameStart = 0;
    hpack.nameEnd = name.length;
    hpack.valueStart = name.length + 2;
    hpack.valueEnd = length;
  }

  #decimal(kind: number, name: Uint8Array, value: number): void {
    let digits = 1;
    for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) digits++;
    this.#stage(kind, name, digits);
    let rest = value;
    for (let at = name.length + 1 + digits; at > name.length + 1; at--) {
      this.#line[at] = Ascii.zero + (rest % 10);
      rest = Math.floor(rest / 10);
    }
    this.#encoder.put();
  }
}

/** What the handshake of HTTP/1.1 has and that of HTTP/2 has not (RFC 8441 5). */
function isForHandshake(head: MessageHead, i: number): boolean {
  const id = head.fieldId[i]!;
  if (id === FieldId.contentLength) return true;
  if (id !== FieldId.other) return false;
  const length = head.nameEnd[i]! - head.nameStart[i]!;
  if (length !== text.key.length && length !== text.accept.length) return false;
  return head.find(text.key, i) === i || head.find(text.accept, i) === i;
}
