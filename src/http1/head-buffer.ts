/**
 * Collects a head that arrives in pieces, until it is complete and can be scanned in one go.
 *
 * Every octet is looked at once on its way in, whatever the pieces, so that a slow sender costs no
 * more than a fast one; what can be refused before the end (a bare LF, a NUL, a start line or head
 * over its limit) is refused at once.
 */
import { copyRange } from "../core/copy-range.ts";
import { type Failure, Failures } from "../core/failure.ts";
import { defaultHeadLimits, type HeadLimits } from "../http/message-head.ts";
import { Ascii } from "../http/octet.ts";

/** Small: ten thousand slow senders hold one each. */
const firstBytes = 256;
const keptBytes = 2048;
const empty = new Uint8Array(0);

export class HeadBuffer {
  readonly limits: HeadLimits;
  /** [0, length) holds what was taken. */
  bytes: Uint8Array = empty;
  length = 0;
  /** The empty line has arrived: scan [0, length). */
  complete = false;
  failure: Failure | undefined = undefined;
  detail = "";
  /** Octets of the current line, without its end. */
  #lineBytes = 0;
  #inStartLine = true;
  #emptyLines = 0;
  #afterCr = false;

  readonly #fromUpstream: boolean;

  /** `fromUpstream` decides whose failure a malformed head is. */
  constructor(limits: HeadLimits = defaultHeadLimits, fromUpstream = false) {
    this.limits = limits;
    this.#fromUpstream = fromUpstream;
  }

  /**
   * Takes octets of [from, to) up to the end of the head at most and returns the offset past them,
   * or a negative number where the head is refused, with `failure` saying why.
   */
  push(bytes: Uint8Array, from: number, to: number): number {
    let at = from;
    while (at < to && !this.complete) {
      const octet = bytes[at++]!;
      if (this.#afterCr) {
        if (octet !== Ascii.lf) return this.#refuse(this.#malformed(), "bare CR");
        this.#afterCr = false;
        if (!this.#endLine()) return -1;
      } else if (octet === Ascii.cr) this.#afterCr = true;
      else if (octet === Ascii.lf) return this.#refuse(this.#malformed(), "bare LF");
      else if (octet === 0) return this.#refuse(this.#malformed(), "NUL");
      else if (++this.#lineBytes > this.limits.startLineBytesMax && this.#inStartLine) {
        return this.#refuse(Failures.targetTooLong, "start line too long");
      }
    }
    if (this.length + at - from > this.limits.headBytesMax) {
      return this.#refuse(Failures.headTooLarge, "head too long");
    }
    this.#take(bytes, from, at);
    return at;
  }

  /** Forgets the head. The memory of a large one is given back. */
  clear(): void {
    if (this.bytes.length > keptBytes) this.bytes = empty;
    this.length = 0;
    this.complete = false;
    this.failure = undefined;
    this.detail = "";
    this.#lineBytes = 0;
    this.#inStartLine = true;
    this.#emptyLines = 0;
    this.#afterCr = false;
  }

  #endLine(): boolean {
    if (this.#lineBytes > 0) {
      this.#inStartLine = false;
      this.#lineBytes = 0;
    } else if (!this.#inStartLine) {
      this.complete = true;
    } else if (++this.#emptyLines > this.limits.emptyLinesMax) {
      this.#refuse(Failures.badRequestLine, "too many empty lines");
      return false;
    }
    return true;
  }

  #take(bytes: Uint8Array, from: number, to: number): void {
    const needed = this.length + to - from;
    if (needed > this.bytes.length) {
      const grown = new Uint8Array(Math.max(firstBytes, this.bytes.length * 2, needed));
      grown.set(this.bytes.subarray(0, this.length));
      this.bytes = grown;
    }
    copyRange.call(bytes, this.bytes, this.length, from, to);
    this.length = needed;
  }

  #malformed(): Failure {
    return this.#inStartLine ? Failures.badRequestLine : Failures.badField;
  }

  #refuse(failure: Failure, detail: string): number {
    this.failure = this.#fromUpstream ? Failures.upstreamBadResponse : failure;
    this.detail = detail;
    return -1;
  }
}
