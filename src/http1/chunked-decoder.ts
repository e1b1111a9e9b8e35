/**
 * Decodes the chunked transfer coding (RFC 9112 7.1) in place, at any split, strictly.
 *
 * Two ways to drive it. `next` yields the data without its framing. `relay` yields ranges that may
 * be sent on as they are: sizes, data and the last chunk, without extensions, so that a read nearly
 * always is one range; the trailer section and the final empty line are the caller's to write. Use
 * one of them for a whole body.
 */
import { type Failure, Failures } from "../core/failure.ts";
import { Ascii, hexValue } from "../http/octet.ts";
import { ExtensionScanner } from "./chunk-extension.ts";
import { TrailerSection } from "./trailer-section.ts";

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

/**
 *   sizeStart ─▶ size ─┬───────────────▶ sizeLf ─┬▶ data ─▶ dataCr ─▶ dataLf ─▶ sizeStart
 *                      └─▶ extension ─────▲      └▶ trailers ─▶ done      (size 0)
 */
const State = {
  sizeStart: 0,
  size: 1,
  extension: 2,
  sizeLf: 3,
  data: 4,
  dataCr: 5,
  dataLf: 6,
  trailers: 7,
  done: 8,
  failed: 9,
} as const;
type State = (typeof State)[keyof typeof State];

/** Far below 2^53, so that sums of sizes stay exact; leading zeros stay few. */
const sizeMax = 2 ** 48;
const digitsMax = 16;

export class ChunkedDecoder {
  readonly limits: ChunkLimits;
  event: ChunkEvent = ChunkEvent.more;
  dataStart = 0;
  dataEnd = 0;
  /** Data octets so far. */
  bodyBytes = 0;
  /**
   * Chunks that may still begin: at 0 `next` and `relay` stop before another and say `more`. The
   * caller's to set: what a chunk costs does not depend on what is in it.
   */
  chunksLeft = Number.POSITIVE_INFINITY;
  failure: Failure | undefined = undefined;
  /** What exactly was wrong, in constant words for the log. */
  detail = "";
  /** Extensions were left out. */
  droppedExtensions = false;

  readonly #extension = new ExtensionScanner();
  readonly #trailers: TrailerSection;
  #state: State = State.sizeStart;
  #remaining = 0;
  #digits = 0;
  #extensionBytes = 0;
  #allExtensionBytes = 0;
  #fromUpstream = false;

  constructor(limits: ChunkLimits = defaultChunkLimits) {
    this.limits = limits;
    this.#trailers = new TrailerSection(limits.trailerBytesMax);
  }

  /**
   * Begins a new body; `fromUpstream` decides whose failure a malformed one is. Trailers are not to
   * be kept where Connection named fields: it may have meant them (RFC 9110 7.6.1).
   */
  reset(fromUpstream = false, keepsTrailers = true): void {
    this.event = ChunkEvent.more;
    this.bodyBytes = 0;
    this.chunksLeft = Number.POSITIVE_INFINITY;
    this.failure = undefined;
    this.detail = "";
    this.droppedExtensions = false;
    this.#state = State.sizeStart;
    this.#remaining = 0;
    this.#digits = 0;
    this.#extensionBytes = 0;
    this.#allExtensionBytes = 0;
    this.#fromUpstream = fromUpstream;
    this.#trailers.reset(keepsTrailers);
  }

  /**
   * At ChunkEvent.end: the trailer lines that may be sent on, each with its CRLF, in
   * [0, trailersLength). Fields that may not be trailers are left out (RFC 9110 6.5.1).
   */
  get trailers(): Uint8Array {
    return this.#trailers.lines;
  }

  get trailersLength(): number {
    return this.#trailers.length;
  }

  get droppedTrailers(): number {
    return this.#trailers.dropped;
  }

  /** Advances over [at, to); returns the offset reached and sets `event`. */
  next(bytes: Uint8Array, at: number, to: number): number {
    let next = at;
    while (next < to && !this.isSpent) {
      if (this.#state === State.data) {
        this.dataStart = next;
        next = this.#takeData(next, to);
        this.dataEnd = next;
        this.event = ChunkEvent.data;
        return next;
      }
      next = this.#advance(bytes, next, to);
      if (this.#state >= State.done) return next;
    }
    this.event = ChunkEvent.more;
    return next;
  }

  /** As `next`, with ranges of raw octets to send on: see above. */
  relay(bytes: Uint8Array, at: number, to: number): number {
    let next = at;
    while (next < to && !this.isSpent) {
      const start = next;
      while (
        next < to &&
        this.#state !== State.extension &&
        this.#state < State.trailers &&
        !this.isSpent
      ) {
        next =
          this.#state === State.data ? this.#takeData(next, to) : this.#advance(bytes, next, to);
      }
      if (this.#state === State.failed) return next;
      if (next > start) {
        this.dataStart = start;
        this.dataEnd = next;
        this.event = ChunkEvent.data;
        return next;
      }
      // Extensions and trailers are not sent on: a range ends where one begins.
      next = this.#advance(bytes, next, to);
      if (this.#state >= State.done) return next;
    }
    this.event = ChunkEvent.more;
    return next;
  }

  /** Another chunk would begin, and none may. */
  get isSpent(): boolean {
    return this.chunksLeft <= 0 && this.#state === State.sizeStart;
  }

  #takeData(at: number, to: number): number {
    const taken = Math.min(to - at, this.#remaining);
    this.#remaining -= taken;
    this.bodyBytes += taken;
    if (this.#remaining === 0) this.#state = State.dataCr;
    return at + taken;
  }

  /** Over framing, to where the state changes to one that the callers handle, or to `to`. */
  #advance(bytes: Uint8Array, from: number, to: number): number {
    let at = from;
    while (at < to) {
      const octet = bytes[at]!;
      switch (this.#state) {
        case State.sizeStart:
        case State.size:
          // The octet that begins an extension is not sent on, so it is not taken here.
          if (this.#takeSize(octet) >= State.extension) return at + (octet === Ascii.cr ? 1 : 0);
          at++;
          break;
        case State.extension:
          return this.#takeExtension(bytes, at, to);
        case State.sizeLf:
          if (octet !== Ascii.lf) return this.#fail(at, "bare CR after a chunk size");
          this.#state = this.#remaining === 0 ? State.trailers : State.data;
          return at + 1;
        case State.dataCr:
          if (octet !== Ascii.cr) return this.#fail(at, "chunk data without its CRLF");
          this.#state = State.dataLf;
          at++;
          break;
        case State.dataLf:
          if (octet !== Ascii.lf) return this.#fail(at, "chunk data without its CRLF");
          this.#state = State.sizeStart;
          return at + 1;
        case State.trailers:
          return this.#takeTrailers(bytes, at, to);
        default:
          return at;
      }
    }
    return at;
  }

  /** The state after the octet. */
  #takeSize(octet: number): State {
    const value = hexValue[octet]!;
    if (value !== 255) {
      if (this.#state === State.sizeStart) this.#beginSize();
      this.#remaining = this.#remaining * 16 + value;
      if (++this.#digits > digitsMax || this.#remaining >= sizeMax) {
        this.#fail(0, "chunk size too large", Failures.contentTooLarge);
      }
    } else if (this.#state === State.sizeStart) {
      this.#fail(0, "chunk size is not a hexadecimal number");
    } else if (octet === Ascii.cr) this.#state = State.sizeLf;
    else if (octet === Ascii.semicolon || octet === Ascii.space || octet === Ascii.tab) {
      this.#state = State.extension;
      this.#extension.reset();
      this.#extensionBytes = 0;
    } else this.#fail(0, "chunk size is not followed by CRLF");
    return this.#state;
  }

  #beginSize(): void {
    this.chunksLeft--;
    this.#state = State.size;
    this.#remaining = 0;
    this.#digits = 0;
  }

  #takeExtension(bytes: Uint8Array, from: number, to: number): number {
    let at = from;
    while (at < to) {
      if (this.#extension.push(bytes[at]!)) {
        this.#allExtensionBytes++;
        if (++this.#extensionBytes > this.limits.extensionBytesMax) {
          return this.#fail(at, "chunk extension too long");
        }
        if (this.#allExtensionBytes > this.limits.extensionsBytesMax) {
          return this.#fail(at, "too many chunk extensions");
        }
        at++;
      } else if (bytes[at] === Ascii.cr && this.#extension.isComplete) {
        this.droppedExtensions = true;
        this.#state = State.size;
        return at;
      } else return this.#fail(at, "malformed chunk extension");
    }
    return at;
  }

  #takeTrailers(bytes: Uint8Array, from: number, to: number): number {
    const at = this.#trailers.push(bytes, from, to);
    if (at < 0) return this.#fail(from, this.#trailers.detail, Failures.badTrailer);
    if (this.#trailers.complete) {
      this.#state = State.done;
      this.event = ChunkEvent.end;
    }
    return at;
  }

  #fail(at: number, detail: string, failure: Failure = Failures.badChunk): number {
    this.#state = State.failed;
    this.event = ChunkEvent.failed;
    this.failure = this.#fromUpstream ? Failures.upstreamBadResponse : failure;
    this.detail = detail;
    return at;
  }
}
