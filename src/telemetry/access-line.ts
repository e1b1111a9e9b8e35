/**
 * One exchange as one line: Istio's default text format (Envoy's, with the details of the response
 * code and of the connection), or JSON with Istio's keys.
 */
import {
  type AccessRecord,
  RECORD_BYTES_MAX,
  RecordText,
  type RecordTextKind,
} from "./access-record.ts";
import {
  ESCAPED_BYTES_MAX,
  type LineBuffer,
  putAscii,
  putBytes,
  putForeign,
  putInteger,
} from "./line-buffer.ts";
import { escapedName, OWN_TEXT_MAX, Phrases } from "./line-phrase.ts";

const OWN_TEXTS = 12;

/** No line is longer. */
export const LINE_BYTES_MAX: number =
  RECORD_BYTES_MAX * ESCAPED_BYTES_MAX + OWN_TEXTS * OWN_TEXT_MAX * ESCAPED_BYTES_MAX + 2_048;

const SPACE = 0x20;
const QUOTE = 0x22;
const DASH = 0x2d;

export interface LineEncoder {
  /** A bit for each RecordText that it shows. */
  readonly wanted: number;
  /** Needs LINE_BYTES_MAX of room. */
  encode(out: LineBuffer, record: AccessRecord): void;
}

/** 2026-11-22T16:53:29.123Z; only the milliseconds are new most of the time. */
class Timestamp {
  readonly #bytes: Buffer = Buffer.alloc(24);
  #second = Number.NaN;

  put(out: Uint8Array, at: number, ms: number): number {
    const second = Math.floor(ms / 1_000);
    const bytes = this.#bytes;
    if (second !== this.#second) {
      this.#second = second;
      bytes.write(new Date(second * 1_000).toISOString(), "latin1");
    }
    const fraction = (ms - second * 1_000) | 0;
    const tenths = (fraction / 10) | 0;
    const hundreds = (fraction / 100) | 0;
    bytes[20] = 0x30 + hundreds;
    bytes[21] = 0x30 + tenths - hundreds * 10;
    bytes[22] = 0x30 + fraction - tenths * 10;
    return putBytes(out, at, bytes);
  }
}

const encoder = new TextEncoder();
const columns = {
  begin: encoder.encode('] "'),
  http11: encoder.encode(' HTTP/1.1" '),
  http10: encoder.encode(' HTTP/1.0" '),
  http2: encoder.encode(' HTTP/2" '),
  other: encoder.encode(' -" '),
  openQuote: encoder.encode(' "'),
  next: encoder.encode('" "'),
} as const;

export class TextEncoding implements LineEncoder {
  readonly wanted: number = ~(1 << RecordText.traceParent);
  readonly #time = new Timestamp();
  readonly #phrases = new Phrases({
    outcome(record) {
      const { failure, details, upstreamTransportFailure } = record;
      const transport = column(upstreamTransportFailure);
      if (failure === undefined) return ` - ${column(details)} - "${transport}" `;
      const subject = details === "" ? "" : `{${column(details)}}`;
      return ` ${failure.flag} ${failure.reason}${subject} - "${transport}" `;
    },
    upstream: ({ upstreamHost, upstreamCluster, upstreamLocalAddress }) =>
      `" "${column(upstreamHost)}" ${column(upstreamCluster)} ${column(upstreamLocalAddress)} `,
    ending: ({ requestedServerName, routeName }) =>
      ` ${column(requestedServerName)} ${column(routeName)}\n`,
  });

  encode(line: LineBuffer, record: AccessRecord): void {
    const phrase = this.#phrases.of(record);
    const out = line.bytes;
    let at = line.length;
    out[at++] = 0x5b;
    at = this.#time.put(out, at, record.startMs);
    at = putBytes(out, at, columns.begin);
    at = peer(out, at, record, RecordText.method);
    out[at++] = SPACE;
    at = peer(out, at, record, pathKind(record));
    at = putBytes(out, at, textProtocol(record.protocol));
    at = putInteger(out, at, record.status);
    at = putBytes(out, at, phrase.outcome);
    at = putInteger(out, at, record.bytesReceived);
    out[at++] = SPACE;
    at = putInteger(out, at, record.bytesSent);
    out[at++] = SPACE;
    at = putInteger(out, at, record.durationMs);
    out[at++] = SPACE;
    if (record.upstreamServiceMs < 0) out[at++] = DASH;
    else at = putInteger(out, at, record.upstreamServiceMs);
    at = putBytes(out, at, columns.openQuote);
    at = peer(out, at, record, RecordText.forwardedFor);
    at = putBytes(out, at, columns.next);
    at = peer(out, at, record, RecordText.userAgent);
    at = putBytes(out, at, columns.next);
    at = peer(out, at, record, RecordText.requestId);
    at = putBytes(out, at, columns.next);
    at = peer(out, at, record, RecordText.authority);
    at = putBytes(out, at, phrase.upstream);
    at = address(out, at, record.downstreamLocalAddress);
    out[at++] = SPACE;
    at = address(out, at, record.downstreamRemoteAddress);
    line.length = putBytes(out, at, phrase.ending);
  }
}

function textProtocol(protocol: number): Uint8Array {
  if (protocol === 1) return columns.http11;
  return protocol === 0 ? columns.http10 : protocol === 20 ? columns.http2 : columns.other;
}

/** A column of the text format has no space in it, and is never empty. */
function column(text: string): string {
  return text === "" ? "-" : escapedName(text.replaceAll(" ", "_"));
}

/** A dash if the record has no such text. */
function peer(out: Uint8Array, at: number, record: AccessRecord, kind: RecordTextKind): number {
  const to = record.ends[kind]!;
  if (to !== 0) return putForeign(out, at, record.bytes, { from: record.starts[kind]!, to });
  out[at] = DASH;
  return at + 1;
}

function address(out: Uint8Array, at: number, text: string): number {
  if (text !== "") return putAscii(out, at, text);
  out[at] = DASH;
  return at + 1;
}

/** What a client asked for comes before what we made of it. */
function pathKind(record: AccessRecord): RecordTextKind {
  return record.ends[RecordText.originalPath] === 0 ? RecordText.path : RecordText.originalPath;
}

const keys = {
  startTime: encoder.encode('{"start_time":"'),
  http11: encoder.encode('","protocol":"HTTP/1.1","response_code":'),
  http10: encoder.encode('","protocol":"HTTP/1.0","response_code":'),
  http2: encoder.encode('","protocol":"HTTP/2","response_code":'),
  other: encoder.encode('","protocol":"-","response_code":'),
  bytesSent: encoder.encode(',"bytes_sent":'),
  duration: encoder.encode(',"duration":'),
  serviceTime: encoder.encode(',"upstream_service_time":'),
  attempts: encoder.encode(',"upstream_request_attempt_count":'),
  method: encoder.encode(',"method":"'),
  path: encoder.encode(',"path":"'),
  authority: encoder.encode(',"authority":"'),
  forwardedFor: encoder.encode(',"x_forwarded_for":"'),
  userAgent: encoder.encode(',"user_agent":"'),
  requestId: encoder.encode(',"request_id":"'),
  traceParent: encoder.encode(',"traceparent":"'),
  localAddress: encoder.encode(',"downstream_local_address":"'),
  remoteAddress: encoder.encode(',"downstream_remote_address":"'),
} as const;
const NULL = encoder.encode("null");

export class JsonEncoding implements LineEncoder {
  readonly wanted: number = -1;
  readonly #time = new Timestamp();
  readonly #phrases = new Phrases({
    outcome({ failure, details }) {
      const reason = member("response_code_details", failure?.reason ?? details);
      const cause = failure === undefined ? "" : member("response_code_cause", details);
      const flags = member("response_flags", failure?.flag ?? "-");
      return `${flags}${reason}${cause},"connection_termination_details":null,"bytes_received":`;
    },
    upstream: (record) =>
      member("upstream_transport_failure_reason", record.upstreamTransportFailure) +
      member("upstream_host", record.upstreamHost) +
      member("upstream_cluster", record.upstreamCluster) +
      member("upstream_local_address", record.upstreamLocalAddress),
    ending: ({ requestedServerName, routeName }) =>
      [
        member("requested_server_name", requestedServerName),
        member("route_name", routeName),
        "}\n",
      ].join(""),
  });

  encode(line: LineBuffer, record: AccessRecord): void {
    const phrase = this.#phrases.of(record);
    const out = line.bytes;
    let at = putBytes(out, line.length, keys.startTime);
    at = this.#time.put(out, at, record.startMs);
    at = putBytes(out, at, jsonProtocol(record.protocol));
    at = putInteger(out, at, record.status);
    at = putBytes(out, at, phrase.outcome);
    at = numbers(out, at, record);
    at = jsonPeer(out, putBytes(out, at, keys.method), record, RecordText.method);
    at = jsonPeer(out, putBytes(out, at, keys.path), record, pathKind(record));
    at = jsonPeer(out, putBytes(out, at, keys.authority), record, RecordText.authority);
    at = jsonPeer(out, putBytes(out, at, keys.forwardedFor), record, RecordText.forwardedFor);
    at = jsonPeer(out, putBytes(out, at, keys.userAgent), record, RecordText.userAgent);
    at = jsonPeer(out, putBytes(out, at, keys.requestId), record, RecordText.requestId);
    at = jsonPeer(out, putBytes(out, at, keys.traceParent), record, RecordText.traceParent);
    at = putBytes(out, at, phrase.upstream);
    at = jsonAddress(out, putBytes(out, at, keys.localAddress), record.downstreamLocalAddress);
    at = jsonAddress(out, putBytes(out, at, keys.remoteAddress), record.downstreamRemoteAddress);
    line.length = putBytes(out, at, phrase.ending);
  }
}

function numbers(out: Uint8Array, from: number, record: AccessRecord): number {
  let at = putInteger(out, from, record.bytesReceived);
  at = putBytes(out, at, keys.bytesSent);
  at = putInteger(out, at, record.bytesSent);
  at = putBytes(out, at, keys.duration);
  at = putInteger(out, at, record.durationMs);
  at = putBytes(out, at, keys.serviceTime);
  if (record.upstreamServiceMs < 0) at = putBytes(out, at, NULL);
  else at = putInteger(out, at, record.upstreamServiceMs);
  at = putBytes(out, at, keys.attempts);
  return putInteger(out, at, record.attempts);
}

function jsonProtocol(protocol: number): Uint8Array {
  if (protocol === 1) return keys.http11;
  return protocol === 0 ? keys.http10 : protocol === 20 ? keys.http2 : keys.other;
}

function member(key: string, text: string): string {
  return `,"${key}":${text === "" ? "null" : `"${escapedName(text)}"`}`;
}

/** After a key and its opening quote, which is taken back if the record has no such text. */
function jsonPeer(out: Uint8Array, at: number, record: AccessRecord, kind: RecordTextKind): number {
  const to = record.ends[kind]!;
  if (to === 0) return putBytes(out, at - 1, NULL);
  const end = putForeign(out, at, record.bytes, { from: record.starts[kind]!, to });
  out[end] = QUOTE;
  return end + 1;
}

function jsonAddress(out: Uint8Array, at: number, text: string): number {
  if (text === "") return putBytes(out, at - 1, NULL);
  const end = putAscii(out, at, text);
  out[end] = QUOTE;
  return end + 1;
}
