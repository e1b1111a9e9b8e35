/**
 * Writes heads into an output buffer: a scanned head with edits, in as few copies as possible.
 *
 *   request(head) | requestTo(head, target) | response(head)     the start line, always HTTP/1.1
 *   add(line)…                                                    prepared lines that come first
 *   fields(head)                                                  every field not dropped, as it came
 *   add(line)…, contentLength(n), chunked(), close(), …           what we say
 *   end()                                                         the empty line
 *
 * Adjacent kept lines are copied as one range. Nothing is written past the buffer: `overflowed` says
 * so, and the head must then not be sent.
 */
import type { MessageHead } from "./message-head.ts";

export class HeadWriter {
  readonly out: Uint8Array;
  /** Where the next octet goes. */
  at = 0;
  overflowed = false;

  constructor(out: Uint8Array) {
    this.out = out;
  }

  /** Starts a head at `at` of the output. */
  begin(at: number): void {
    this.at = at;
    this.overflowed = false;
  }

  /** The request line, in origin form (absolute targets lose their authority; Host carries it). */
  request(_head: MessageHead): void {}

  /** The request line with another target: path and query, or "*". */
  requestTo(_head: MessageHead, _target: Uint8Array): void {}

  /** The status line. */
  response(_head: MessageHead): void {}

  /** Every field that is not dropped, in order, with the letters that it came with. */
  fields(_head: MessageHead): void {}

  /** Prepared octets: whole lines, each with its CRLF. */
  add(_lines: Uint8Array): void {}

  /** A range of some buffer. */
  addRange(_bytes: Uint8Array, _from: number, _to: number): void {}

  contentLength(_length: number): void {}

  /** transfer-encoding: chunked. */
  chunked(): void {}

  /** connection: close. */
  close(): void {}

  /** connection: upgrade, upgrade: websocket. */
  upgrade(): void {}

  /** The empty line; returns the offset past the head, or -1 where the output was too small. */
  end(): number {
    return this.overflowed ? -1 : this.at;
  }
}

/** Writes the line that begins a chunk; returns the offset past it. Needs 16 octets of room. */
export function writeChunkSize(_out: Uint8Array, at: number, _size: number): number {
  return at;
}
