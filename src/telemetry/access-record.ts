/**
 * What the access log says of one exchange. The data plane acquires one when a request head is
 * complete, fills it as it learns, and hands it back to the log at the end; records are reused.
 *
 * Text from the peers is copied as bytes (`copy…`), since the buffers they came in are gone by the
 * end; text of our own (cluster, route, addresses) is held as the snapshot's strings. "" and −1
 * mean unknown, and print as "-".
 */
import type { Failure } from "../core/failure.ts";

/** Ranges of a record's bytes, in the order of `RecordText`. */
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
  /** RESPONSE_CODE_DETAILS when there was no failure: "via_upstream", "direct_response", … */
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

  /** Copies bytes[from, to) as one of the texts; cut at `TEXT_BYTES_MAX` for the whole record. */
  copy(_kind: RecordTextKind, _bytes: Uint8Array, _from: number, _to: number): void {}

  copyString(_kind: RecordTextKind, _text: string): void {}

  reset(): void {}
}

export const TEXT_BYTES_MAX = 8_192;
