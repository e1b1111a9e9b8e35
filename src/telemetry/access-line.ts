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
import type { ConnectionNames, ConnectionSecurity } from "./connection-names.ts";
import { grpcStatusNames } from "./grpc-status-name.ts";
import {
  ESCAPED_BYTES_MAX,
  type LineBuffer,
  Piece,
  putForeign,
  putInteger,
  putPiece,
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

/** A piece with a time in it, 2026-11-22T16:53:29.123Z; seldom more than its end is new. */
class Timestamp {
  readonly #before: string;
  readonly #after: string;
  #piece: Piece = new Piece("");
  #bytes: Uint8Array = new Uint8Array(0);
  #second = Number.NaN;
  #fraction = 0;

  constructor(before: string, after: string) {
    this.#before = before;
    this.#after = after;
  }

  piece(ms: number): Piece {
    const second = Math.floor(ms / 1_000);
    const fraction = (ms - second * 1_000) | 0;
    if (second === this.#second && fraction === this.#fraction) return this.#piece;
    if (second !== this.#second) this.#begin(second);
    this.#fraction = fraction;
    const at = this.#before.length + 20;
    const tenths = (fraction / 10) | 0;
    const hundreds = (fraction / 100) | 0;
    this.#bytes[at] = 0x30 + hundreds;
    this.#bytes[at + 1] = 0x30 + tenths - hundreds * 10;
    this.#bytes[at + 2] = 0x30 + fraction - tenths * 10;
    return this.#piece;
  }

  #begin(second: number): void {
    this.#second = second;
    const time = new Date(second * 1_000).toISOString();
    this.#piece = new Piece(`${this.#before}${time}${this.#after}`);
    this.#bytes = new Uint8Array(this.#piece.words.buffer);
  }
}

const columns = {
  http11: new Piece(' HTTP/1.1" '),
  http10: new Piece(' HTTP/1.0" '),
  http2: new Piece(' HTTP/2" '),
  other: new Piece(' -" '),
  openQuote: new Piece(' "'),
  next: new Piece('" "'),
} as const;

function textNames({ local, remote }: ConnectionNames): string {
  return `${column(local)} ${column(remote)}`;
}

export class TextEncoding implements LineEncoder {
  readonly wanted: number = ~(1 << RecordText.traceParent);
  readonly #time = new Timestamp("[", '] "');
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
    const { bytes: out, view } = line;
    let at = putPiece(view, line.length, this.#time.piece(record.startMs));
    at = peer(line, at, record, RecordText.method);
    out[at++] = SPACE;
    at = peer(line, at, record, pathKind(record));
    at = putPiece(view, at, textProtocol(record.protocol));
    at = putInteger(out, at, record.status);
    at = putPiece(view, at, phrase.outcome);
    at = putInteger(out, at, record.bytesReceived);
    out[at++] = SPACE;
    at = putInteger(out, at, record.bytesSent);
    out[at++] = SPACE;
    at = putInteger(out, at, record.durationMs);
    out[at++] = SPACE;
    if (record.upstreamServiceMs < 0) out[at++] = DASH;
    else at = putInteger(out, at, record.upstreamServiceMs);
    at = putPiece(view, at, columns.openQuote);
    at = peer(line, at, record, RecordText.forwardedFor);
    at = putPiece(view, at, columns.next);
    at = peer(line, at, record, RecordText.userAgent);
    at = putPiece(view, at, columns.next);
    at = peer(line, at, record, RecordText.requestId);
    at = putPiece(view, at, columns.next);
    at = peer(line, at, record, RecordText.authority);
    at = putPiece(view, at, phrase.upstream);
    at = putPiece(view, at, record.downstream.piece(textNames));
    line.length = putPiece(view, at, phrase.ending);
  }
}

function textProtocol(protocol: number): Piece {
  if (protocol === 1) return columns.http11;
  return protocol === 0 ? columns.http10 : protocol === 20 ? columns.http2 : columns.other;
}

/** A column of the text format has no space in it, and is never empty. */
function column(text: string): string {
  return text === "" ? "-" : escapedName(text.replaceAll(" ", "_"));
}

/** A dash if the record has no such text. */
function peer(line: LineBuffer, at: number, record: AccessRecord, kind: RecordTextKind): number {
  const to = record.ends[kind]!;
  if (to !== 0) return putForeign(line, at, record.bytes, { from: record.starts[kind]!, to });
  line.bytes[at] = DASH;
  return at + 1;
}

/** What a client asked for comes before what we made of it. */
function pathKind(record: AccessRecord): RecordTextKind {
  return record.ends[RecordText.originalPath] === 0 ? RecordText.path : RecordText.originalPath;
}

const keys = {
  http11: new Piece('","protocol":"HTTP/1.1","response_code":'),
  http10: new Piece('","protocol":"HTTP/1.0","response_code":'),
  http2: new Piece('","protocol":"HTTP/2","response_code":'),
  other: new Piece('","protocol":"-","response_code":'),
  bytesSent: new Piece(',"bytes_sent":'),
  duration: new Piece(',"duration":'),
  serviceTime: new Piece(',"upstream_service_time":'),
  attempts: new Piece(',"upstream_request_attempt_count":'),
  method: new Piece(',"method":"'),
  path: new Piece(',"path":"'),
  authority: new Piece(',"authority":"'),
  forwardedFor: new Piece(',"x_forwarded_for":"'),
  userAgent: new Piece(',"user_agent":"'),
  requestId: new Piece(',"request_id":"'),
  traceParent: new Piece(',"traceparent":"'),
  none: new Piece("null"),
} as const;
/** Calls of gRPC have a key more. */
const grpcStatuses = grpcStatusNames.map((name) => new Piece(`,"grpc_status":"${name}"`));

function jsonNames({ local, remote, security }: ConnectionNames): string {
  const addresses =
    member("downstream_local_address", local) + member("downstream_remote_address", remote);
  if (security === undefined) return addresses;
  return [
    addresses,
    member("downstream_tls_version", security.version),
    member("downstream_tls_cipher", security.cipher),
    member("downstream_tls_alpn", security.protocol),
    ...peerMembers(security),
  ].join("");
}

/** By Envoy's name for it; where nothing is proved there is no such key. */
function peerMembers({ peer }: ConnectionSecurity): readonly string[] {
  if (peer?.verified !== true || peer.names.uris.length === 0) return [];
  return [member("downstream_peer_uri_san", peer.names.uris.join(","))];
}

export class JsonEncoding implements LineEncoder {
  readonly wanted: number = -1;
  readonly #time = new Timestamp('{"start_time":"', "");
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
    const { view } = line;
    let at = putPiece(view, line.length, this.#time.piece(record.startMs));
    at = putPiece(view, at, jsonProtocol(record.protocol));
    at = putInteger(line.bytes, at, record.status);
    at = putPiece(view, at, phrase.outcome);
    at = numbers(line, at, record);
    at = jsonPeer(line, putPiece(view, at, keys.method), record, RecordText.method);
    at = jsonPeer(line, putPiece(view, at, keys.path), record, pathKind(record));
    at = jsonPeer(line, putPiece(view, at, keys.authority), record, RecordText.authority);
    at = jsonPeer(line, putPiece(view, at, keys.forwardedFor), record, RecordText.forwardedFor);
    at = jsonPeer(line, putPiece(view, at, keys.userAgent), record, RecordText.userAgent);
    at = jsonPeer(line, putPiece(view, at, keys.requestId), record, RecordText.requestId);
    at = jsonPeer(line, putPiece(view, at, keys.traceParent), record, RecordText.traceParent);
    at = putPiece(view, at, phrase.upstream);
    at = putPiece(view, at, record.downstream.piece(jsonNames));
    line.length = putPiece(view, at, phrase.ending);
  }
}

function numbers(line: LineBuffer, from: number, record: AccessRecord): number {
  const { bytes: out, view } = line;
  let at = putInteger(out, from, record.bytesReceived);
  at = putPiece(view, at, keys.bytesSent);
  at = putInteger(out, at, record.bytesSent);
  at = putPiece(view, at, keys.duration);
  at = putInteger(out, at, record.durationMs);
  at = putPiece(view, at, keys.serviceTime);
  if (record.upstreamServiceMs < 0) at = putPiece(view, at, keys.none);
  else at = putInteger(out, at, record.upstreamServiceMs);
  at = putPiece(view, at, keys.attempts);
  at = putInteger(out, at, record.attempts);
  const status = grpcStatuses[record.grpcStatus];
  return status === undefined ? at : putPiece(view, at, status);
}

function jsonProtocol(protocol: number): Piece {
  if (protocol === 1) return keys.http11;
  return protocol === 0 ? keys.http10 : protocol === 20 ? keys.http2 : keys.other;
}

function member(key: string, text: string): string {
  return `,"${key}":${text === "" ? "null" : `"${escapedName(text)}"`}`;
}

/** After a key and its opening quote, which is taken back if the record has no such text. */
function jsonPeer(
  line: LineBuffer,
  at: number,
  record: AccessRecord,
  kind: RecordTextKind,
): number {
  const to = record.ends[kind]!;
  if (to === 0) return putPiece(line.view, at - 1, keys.none);
  const end = putForeign(line, at, record.bytes, { from: record.starts[kind]!, to });
  line.bytes[end] = QUOTE;
  return end + 1;
}
