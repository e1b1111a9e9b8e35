/** The answer to a question over HTTP/1.1, read from whatever pieces it comes in, and bounded. */
import { textOfBytes } from "../attribute/byte-text.ts";
import { FieldId } from "../http/field-id.ts";
import { Framing, MessageHead } from "../http/message-head.ts";
import type { MethodId } from "../http/method.ts";
import { ChunkEvent, ChunkedDecoder } from "../http1/chunked-decoder.ts";
import { scanResponseHead } from "../http1/response-head.ts";

export interface HttpAnswer {
  readonly status: number;
  /** Those that are meant for whoever asked, in order; names in lower case. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly body: Uint8Array;
  /** The connection may be asked again. */
  readonly keepsAlive: boolean;
}

export type ReadAnswer = HttpAnswer | { readonly why: string };

const HEAD_END = Buffer.from("\r\n\r\n");
/** Of everything but the content: a head, and what chunks are framed by. */
const OTHER_BYTES_MAX = 192 * 1024;
const NO_BYTES = new Uint8Array(0);

export class HttpAnswerReader {
  readonly #head = new MessageHead();
  /** What #received begins in. */
  #room = Buffer.alloc(0);
  readonly #chunks = new ChunkedDecoder();
  #received: Buffer = Buffer.alloc(0);
  #total = 0;
  #fields: [string, string][] | undefined = undefined;
  #body: Uint8Array[] = [];
  #bodyBytes = 0;
  readonly #bodyBytesMax: number;

  constructor(bodyBytesMax: number) {
    this.#bodyBytesMax = bodyBytesMax;
  }

  /** For the answer to a request with that method. */
  begin(method: MethodId): void {
    this.#head.requestMethod = method;
    this.#received = Buffer.alloc(0);
    this.#total = 0;
    this.#fields = undefined;
    this.#body = [];
    this.#bodyBytes = 0;
  }

  /** Undefined: more has to come. `ended`: nothing more will. */
  read(bytes: Uint8Array, ended: boolean): ReadAnswer | undefined {
    this.#total += bytes.length;
    if (this.#total > this.#bodyBytesMax + OTHER_BYTES_MAX)
      return { why: "the answer is too long" };
    let at = 0;
    let content = bytes;
    while (this.#fields === undefined) {
      const end = this.#readHead(content);
      if (typeof end === "object") return end;
      if (end === 0) return ended ? { why: "the answer is cut short" } : undefined;
      content = this.#received;
      at = end;
    }
    return this.#readBody(content, at, ended);
  }

  /** Behind what was received, in room that doubles: a head may come octet by octet. */
  #append(bytes: Uint8Array): void {
    const { buffer, byteOffset, length } = this.#received;
    const needed = length + bytes.length;
    const isThere = buffer === this.#room.buffer && byteOffset === this.#room.byteOffset;
    if (!isThere || needed > this.#room.length) {
      this.#room = Buffer.alloc(2 * needed);
      this.#room.set(this.#received);
    }
    this.#room.set(bytes, length);
    this.#received = this.#room.subarray(0, needed);
  }

  /** Where the content begins in `#received`; 0: more has to come. */
  #readHead(bytes: Uint8Array): number | { readonly why: string } {
    const before = this.#received.length;
    this.#append(bytes);
    const received = this.#received;
    if (received.indexOf(HEAD_END, Math.max(0, before - 3)) === -1) return 0;
    const head = this.#head;
    let from = 0;
    for (;;) {
      const end = scanResponseHead(received, from, received.length, head);
      if (end < 0) return { why: `the answer is no HTTP: ${head.detail}` };
      if (end === 0) return this.#keepFrom(from);
      if (head.status >= 200) {
        this.#fields = fieldsOf(head);
        this.#chunks.reset(true);
        return end;
      }
      from = end;
    }
  }

  /** Interim answers are none. */
  #keepFrom(from: number): 0 {
    this.#received = this.#received.subarray(from);
    return 0;
  }

  #readBody(bytes: Uint8Array, at: number, ended: boolean): ReadAnswer | undefined {
    const { framing, contentLength } = this.#head;
    if (framing === Framing.chunked) return this.#readChunks(bytes, at, ended);
    if (framing === Framing.none) return this.#done(bytes.length === at);
    if (framing === Framing.length) {
      if (contentLength > this.#bodyBytesMax) return { why: "the answer is too long" };
      const left = contentLength - this.#bodyBytes;
      this.#keep(bytes, at, Math.min(bytes.length, at + left));
      if (this.#bodyBytes === contentLength) return this.#done(bytes.length - at <= left);
      return ended ? { why: "the answer is cut short" } : undefined;
    }
    if (framing !== Framing.untilClose) return { why: "the answer is another protocol" };
    if (!this.#keep(bytes, at, bytes.length)) return { why: "the answer is too long" };
    return ended ? this.#done(false) : undefined;
  }

  #readChunks(bytes: Uint8Array, from: number, ended: boolean): ReadAnswer | undefined {
    const chunks = this.#chunks;
    for (let at = from; ; ) {
      at = chunks.next(bytes, at, bytes.length);
      switch (chunks.event) {
        case ChunkEvent.data:
          if (this.#keep(bytes, chunks.dataStart, chunks.dataEnd)) continue;
          return { why: "the answer is too long" };
        case ChunkEvent.end:
          return this.#done(at === bytes.length);
        case ChunkEvent.failed:
          return { why: `the answer is no HTTP: ${chunks.detail}` };
        case ChunkEvent.more:
          return ended ? { why: "the answer is cut short" } : undefined;
        default:
          return chunks.event satisfies never;
      }
    }
  }

  /** False: it is too long. */
  #keep(bytes: Uint8Array, from: number, to: number): boolean {
    this.#bodyBytes += to - from;
    if (this.#bodyBytes > this.#bodyBytesMax) return false;
    if (to > from) this.#body.push(bytes.subarray(from, to));
    return true;
  }

  /** `isWhole`: nothing came behind it. */
  #done(isWhole: boolean): HttpAnswer {
    const { status, keepsAlive } = this.#head;
    const body = this.#body.length === 0 ? NO_BYTES : Buffer.concat(this.#body);
    const fields = this.#fields ?? [];
    return { status, fields, body, keepsAlive: keepsAlive && isWhole };
  }
}

/** Without those between two neighbours, and without those that frame the content. */
function fieldsOf(head: MessageHead): [string, string][] {
  const fields: [string, string][] = [];
  const { bytes, fieldCount, nameStart, nameEnd, valueStart, valueEnd, dropped, fieldId } = head;
  for (let i = 0; i < fieldCount; i++) {
    const id = fieldId[i];
    if (dropped[i] === 1 || id === FieldId.contentLength || id === FieldId.transferEncoding)
      continue;
    const name = textOfBytes(bytes.subarray(nameStart[i]!, nameEnd[i]!)).toLowerCase();
    fields.push([name, textOfBytes(bytes.subarray(valueStart[i]!, valueEnd[i]!))]);
  }
  return fields;
}
