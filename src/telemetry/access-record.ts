/**
 * What the access log says of one exchange. The data plane acquires one when a request head is
 * complete, fills it as it learns, and hands it back to the log at the end; records are reused.
 *
 * Text from the peers is held as ranges of the bytes they came in, which are copied once, into the
 * line; text of our own (cluster, route, addresses) is held as the snapshot's strings. "" and −1
 * mean unknown, and print as "-".
 */
import type { Failure } from "../core/failure.ts";
import { type ConnectionNames, UNKNOWN_NAMES } from "./connection-names.ts";

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
const NO_BYTES = new Uint8Array(0);
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
  /** 0 to 16; -1: it is no call of gRPC, or nobody said. */
  grpcStatus = -1;
  failure: Failure | undefined = undefined;
  /** RESPONSE_CODE_DETAILS, "via_upstream", …; with a failure: what its reason leaves open. */
  details = "";
  upstreamCluster = "";
  /** "10.0.0.7:9080" */
  upstreamHost = "";
  upstreamLocalAddress = "";
  /** What the transport said: "refused", "timeout", … */
  upstreamTransportFailure = "";
  downstream: ConnectionNames = UNKNOWN_NAMES;
  requestedServerName = "";
  routeName = "";

  /** Where the texts of peers are; for the encoder. */
  bytes: Uint8Array = NO_BYTES;
  readonly starts: Int32Array = new Int32Array(TEXTS);
  /** 0: the text is absent. */
  readonly ends: Int32Array = new Int32Array(TEXTS);
  readonly #wanted: number;

  /** `wanted`: a bit for each kind that the log's format shows; the others are not copied. */
  constructor(wanted = -1) {
    this.#wanted = wanted;
  }

  /**
   * The text is bytes[from, to), cut at TEXT_BYTES_MAX; a second one of the same kind is ignored.
   * The bytes of the first text, and of those in the same array, are not copied until the line is
   * written: they stay untouched until then.
   */
  text(kind: RecordTextKind, bytes: Uint8Array, from: number, to: number): void {
    const n = Math.min(to - from, TEXT_BYTES_MAX);
    if (n <= 0 || this.ends[kind] !== 0 || (this.#wanted & (1 << kind)) === 0) return;
    if (this.bytes === NO_BYTES) this.bytes = bytes;
    else if (this.bytes !== bytes) return this.#append(kind, bytes.subarray(from, from + n));
    this.starts[kind] = from;
    this.ends[kind] = from + n;
  }

  /** The same; characters above U+00FF do not survive. */
  string(kind: RecordTextKind, text: string): void {
    this.text(kind, Buffer.from(text, "latin1"), 0, text.length);
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
    this.grpcStatus = -1;
    this.failure = undefined;
    this.details = "";
    this.upstreamCluster = "";
    this.upstreamHost = "";
    this.upstreamLocalAddress = "";
    this.upstreamTransportFailure = "";
    this.downstream = UNKNOWN_NAMES;
    this.requestedServerName = "";
    this.routeName = "";
    this.bytes = NO_BYTES;
    for (let i = 0; i < TEXTS; i++) this.ends[i] = 0;
  }

  /** From another array than the first: rare, so all texts move into a new one. */
  #append(kind: RecordTextKind, text: Uint8Array): void {
    const parts: Uint8Array[] = [];
    let length = 0;
    for (let i = 0; i < TEXTS; i++) {
      const part = i === kind ? text : this.bytes.subarray(this.starts[i], this.ends[i]);
      if (i !== kind && this.ends[i] === 0) continue;
      this.starts[i] = length;
      length += part.length;
      this.ends[i] = length;
      parts.push(part);
    }
    this.bytes = Buffer.concat(parts);
  }
}
