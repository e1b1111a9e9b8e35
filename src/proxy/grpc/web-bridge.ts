/**
 * One gRPC-Web call on its way to a server that speaks gRPC alone, and back (PROTOCOL-WEB.md).
 *
 *   request:  base64 of the text form ─▶ messages
 *   response: messages ─▶ the same; trailers ─▶ a last frame "80 length lines"; base64 of both
 *
 * Bytes in, bytes out. A response that is trailers only, or no gRPC at all, passes as it is.
 */
import type { MessageHead } from "../../http/message-head.ts";
import { encode } from "../route/byte-range.ts";
import { Base64Decoder } from "./base64-decoder.ts";
import { CallKind, mediaKind, suffixOf } from "./media-type.ts";
import { MessageBoundary } from "./message-boundary.ts";

const TRAILERS = 0x80;
const FRAME_HEADER = 5;
const ACCEPT = encode("accept");
const COMMA = 0x2c;
/** Of usual suffixes: the same array each time, so that its field block is remembered. */
const lineOf = new Map<string, Uint8Array>();
for (const type of ["application/grpc", "application/grpc-web", "application/grpc-web-text"])
  for (const suffix of ["", "+proto", "+json"])
    lineOf.set(`${type}${suffix}`, encode(`content-type: ${type}${suffix}\r\n`));

export class WebBridge {
  /** The response that has begun is gRPC, and becomes gRPC-Web. */
  translates = false;
  readonly #decoder: Base64Decoder | undefined;
  readonly #textAnswer: boolean;
  readonly #boundary = new MessageBoundary();

  constructor(request: CallKind, answer: CallKind) {
    this.#decoder = request === CallKind.webText ? new Base64Decoder() : undefined;
    this.#textAnswer = answer === CallKind.webText;
  }

  get hasTextRequest(): boolean {
    return this.#decoder !== undefined;
  }

  /** The request is no base64. */
  get failed(): boolean {
    return this.#decoder?.failed === true;
  }

  /** The response could end with trailers here. */
  get isBetween(): boolean {
    return this.#boundary.isBetween;
  }

  /** The request is sent from its beginning. */
  beginTry(): void {
    this.translates = false;
    this.#decoder?.reset();
    this.#boundary.reset();
  }

  /** Undefined: it goes on as it is. */
  decodeRequest(bytes: Uint8Array, from: number, to: number): Uint8Array | undefined {
    return this.#decoder?.decode(bytes, from, to);
  }

  /** False: the request ends within a group of base64, and is malformed. */
  endRequest(): boolean {
    const decoder = this.#decoder;
    if (decoder === undefined || decoder.isWhole) return true;
    decoder.failed = true;
    return false;
  }

  /** Undefined: it goes on as it is. Each piece is padded, since the messages in it must arrive. */
  encodeResponse(bytes: Uint8Array, from: number, to: number): Uint8Array | undefined {
    this.#boundary.pass(bytes, from, to);
    return this.#textAnswer ? base64(bytes, from, to) : undefined;
  }

  /** The frame that ends the content; lines[0, length): whole. */
  trailerFrame(lines: Uint8Array, length: number): Uint8Array {
    const frame = Buffer.alloc(FRAME_HEADER + length);
    frame[0] = TRAILERS;
    frame.writeUInt32BE(length, 1);
    frame.set(lines.subarray(0, length), FRAME_HEADER);
    return this.#textAnswer ? base64(frame, 0, frame.length) : frame;
  }
}

/** The form that the answer has: what Accept names first, else that of the request. */
export function answerKind(request: CallKind, head: MessageHead): CallKind {
  for (let field = head.find(ACCEPT); field !== -1; field = head.find(ACCEPT, field + 1)) {
    const to = head.valueEnd[field]!;
    let start = head.valueStart[field]!;
    for (let at = start; at <= to; at++) {
      if (at < to && head.bytes[at] !== COMMA) continue;
      while (head.bytes[start] === 0x20) start++;
      const kind = mediaKind(head.bytes, start, at);
      if (kind === CallKind.web || kind === CallKind.webText) return kind;
      start = at + 1;
    }
  }
  return request;
}

/** The line of content-type for `kind`, with the suffix that stands in bytes[from, to). */
export function contentTypeLine(
  kind: CallKind,
  bytes: Uint8Array,
  from: number,
  to: number,
): Uint8Array {
  const web = kind === CallKind.grpc ? "" : kind === CallKind.web ? "-web" : "-web-text";
  const value = `application/grpc${web}${suffixOf(bytes, from, to)}`;
  return lineOf.get(value) ?? Buffer.from(`content-type: ${value}\r\n`, "latin1");
}

function base64(bytes: Uint8Array, from: number, to: number): Uint8Array {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString("base64");
  return Buffer.from(text, "latin1");
}
