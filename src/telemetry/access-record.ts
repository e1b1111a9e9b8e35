/**
 * What the access log says of one exchange. The data plane acquires one when a request head is
 * complete, fills it as it learns, and hands it back to the log at the end; records are reused.
 *
 * Text from the peers is copied as bytes (`copy…`), since the buffers they came in are gone by the
 * end; text of our own (cluster, route, addresses) is held as the snapshot's strings. "" and −1
 * mean unknown, and print as "-".
 */
import type { Failure } from "../core/failure.ts";
import { PLAIN } from "./line-buffer.ts";

/** Texts of a record that come from a peer. */
export const RecordText = {
  method: 0,
  path: 1,
  /** Before a rewrite; absent: `path` was not rewritten. */
  originalPath: 2,
  authority: 3,
  userAgent: 4,
  forwardedFor: 5,
  requestId: 6,
  traceParent: 7,
} as const;

export type RecordTextKind = (typeof RecordText)[keyof typeof RecordText];

/** A longer text of a peer is cut there. */
export const TEXT_BYTES_MAX = 4_096;

const TEXTS = Object.keys(RecordText).length;
const USUAL_BYTES = 512;
/** All texts together. */
export const RECORD_BYTES_MAX: number = TEXTS * TEXT_BYTES_MAX;

export class AccessRecord {
  /** Wall clock, since 1970. */
  startMs = 0;
  durationMs = 0;
  /** HTTP minor version of the request: 0 or 1; 20 for HTTP/2; −1 for TCP. */
  protocol = 1;
  status = 0;
  /** Body bytes. */
  bytesReceived = 0;
  bytesSent = 0;
  /** From the last byte to the upstream to its first byte; −1: there was none. */
  upstreamServiceMs = -1;
  attempts = 0;
  failure: Failure | undefined = undefined;
  /** RESPONSE_CODE_DETAILS, "via_upstream", …; with a failure: what its reason leaves open. */
  details = "";
  upstreamCluster = "";
  /** "10.0.0.7:9080" */
  upstreamHost = "";
  upstreamLocalAddress = "";
  /** What the transport said: "refused", "timeout", … */
  upstreamTransportFailure = "";
  downstreamLocalAddress = "";
  downstreamRemoteAddress = "";
  requestedServerName = "";
  routeName = "";

  /** The texts of peers, one after another; for the encoder. */
  bytes: Buffer = Buffer.allocUnsafeSlow(USUAL_BYTES);
  length = 0;
  readonly starts: Int32Array = new Int32Array(TEXTS);
  /** 0: the text is absent. */
  readonly ends: Int32Array = new Int32Array(TEXTS);
  /** No byte needs to be escaped. */
  isPlain = true;
  readonly #wanted: number;

  /** `wanted`: a bit for each kind that the log's format shows; the others are not copied. */
  constructor(wanted = -1) {
    this.#wanted = wanted;
  }

  /** Copies bytes[from, to), cut at TEXT_BYTES_MAX; a second copy of the same kind is ignored. */
  copy(kind: RecordTextKind, bytes: Uint8Array, from: number, to: number): void {
    const n = Math.min(to - from, TEXT_BYTES_MAX);
    if (n <= 0 || this.ends[kind] !== 0 || (this.#wanted & (1 << kind)) === 0) return;
    const start = this.length;
    const end = start + n;
    if (end > this.bytes.length) this.#grow(end);
    const own = this.bytes;
    let plain = 1;
    for (let i = 0; i < n; i++) {
      const byte = bytes[from + i]!;
      plain &= PLAIN[byte]!;
      own[start + i] = byte;
    }
    if (plain === 0) this.isPlain = false;
    this.starts[kind] = start;
    this.ends[kind] = end;
    this.length = end;
  }

  /** As copy; characters above U+00FF do not survive. */
  copyString(kind: RecordTextKind, text: string): void {
    if (text === "") return;
    this.copy(kind, Buffer.from(text, "latin1"), 0, text.length);
  }

  reset(): void {
    this.startMs = 0;
    this.durationMs = 0;
    this.protocol = 1;
    this.status = 0;
    this.bytesReceived = 0;
    this.bytesSent = 0;
    this.upstreamServiceMs = -1;
    this.attempts = 0;
    this.failure = undefined;
    this.details = "";
    this.upstreamCluster = "";
    this.upstreamHost = "";
    this.upstreamLocalAddress = "";
    this.upstreamTransportFailure = "";
    this.downstreamLocalAddress = "";
    this.downstreamRemoteAddress = "";
    this.requestedServerName = "";
    this.routeName = "";
    this.length = 0;
    this.isPlain = true;
    this.ends.fill(0);
    // One request with huge fields is no reason to hold their space for ever.
    if (this.bytes.length > 4 * USUAL_BYTES) this.bytes = Buffer.allocUnsafeSlow(USUAL_BYTES);
  }

  #grow(needed: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.bytes.length));
    larger.set(this.bytes.subarray(0, this.length));
    this.bytes = larger;
  }
}
