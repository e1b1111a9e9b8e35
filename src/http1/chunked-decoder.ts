/**
 * Decodes the chunked transfer coding (RFC 9112 7.1) in place, at any split, strictly.
 *
 * Two ways to drive it. `next` yields the data without its framing. `relay` yields ranges that may be
 * sent on as they are: chunk framing included, extensions left out, so that a read nearly always is
 * one range; the last chunk is included, the trailer section and the final CRLF are not.
 */
import type { Failure } from "../core/failure.ts";

export const ChunkEvent = {
  /** All octets up to `to` were taken; more must come. */
  more: 0,
  /** [dataStart, dataEnd) of the given bytes; call again. */
  data: 1,
  /** The message is complete; octets after the returned offset are not part of it. */
  end: 2,
  failed: 3,
} as const;
export type ChunkEvent = (typeof ChunkEvent)[keyof typeof ChunkEvent];

export interface ChunkLimits {
  /** Octets of extensions in one chunk, and in all chunks of a body. */
  readonly extensionBytesMax: number;
  readonly extensionsBytesMax: number;
  /** Octets of the whole trailer section. */
  readonly trailerBytesMax: number;
}

export const defaultChunkLimits: ChunkLimits = {
  extensionBytesMax: 256,
  extensionsBytesMax: 16 * 1024,
  trailerBytesMax: 8 * 1024,
};

export class ChunkedDecoder {
  readonly limits: ChunkLimits;
  event: ChunkEvent = ChunkEvent.more;
  dataStart = 0;
  dataEnd = 0;
  /** Data octets so far. */
  bodyBytes = 0;
  failure: Failure | undefined = undefined;
  /**
   * At ChunkEvent.end: the trailer lines that may be sent on, each with its CRLF, in
   * [0, trailersLength). Fields that may not be trailers are left out (RFC 9110 6.5.1).
   */
  trailers: Uint8Array = new Uint8Array(0);
  trailersLength = 0;
  droppedTrailers = 0;

  constructor(limits: ChunkLimits = defaultChunkLimits) {
    this.limits = limits;
  }

  /** Begins a new body. `badChunk` and `badTrailer` say whose fault a malformed one is. */
  reset(): void {
    this.event = ChunkEvent.more;
  }

  /** Advances over [at, to); returns the offset reached and sets `event`. */
  next(_bytes: Uint8Array, _at: number, to: number): number {
    return to;
  }

  /** As `next`, with ranges of raw octets to send on: see above. */
  relay(_bytes: Uint8Array, _at: number, to: number): number {
    return to;
  }
}
