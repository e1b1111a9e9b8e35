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
import { ESCAPED_BYTES_MAX, type LineBuffer } from "./line-buffer.ts";

/** Texts of ours are short, but a rule's author may choose a route's name. */
const OWN_TEXT_MAX = 512;
const OWN_TEXTS = 12;
const KEPT_TEXTS_MAX = 4_096;

/** No line is longer. */
export const LINE_BYTES_MAX: number =
  RECORD_BYTES_MAX * ESCAPED_BYTES_MAX + OWN_TEXTS * OWN_TEXT_MAX * ESCAPED_BYTES_MAX + 2_048;

const SPACE = 0x20;
const QUOTE = 0x22;
const DASH = 0x2d;
const NEWLINE = 0x0a;

/** Encodes the parts that both formats share, and remembers what repeats from line to line. */
class Parts {
  /** Strings of the snapshot, escaped and encoded; forgotten when there are too many. */
  readonly #texts = new Map<string, Buffer>();
  readonly #time: Buffer = Buffer.alloc(24);
  #timeSecond = Number.NaN;

  /** 2026-11-22T16:53:29.123Z; only the milliseconds are new most of the time. */
  time(out: LineBuffer, ms: number): void {
    const second = Math.floor(ms / 1_000);
    if (second !== this.#timeSecond) {
      this.#timeSecond = second;
      this.#time.write(new Date(second * 1_000).toISOString(), "latin1");
    }
    const fraction = Math.trunc(ms - second * 1_000);
    const time = this.#time;
    time[20] = 0x30 + Math.trunc(fraction / 100);
    time[21] = 0x30 + (Math.trunc(fraction / 10) % 10);
    time[22] = 0x30 + (fraction % 10);
    out.copy(time, 0, 24);
  }

  /** A name of ours: an operator may have chosen it, so it is escaped too. */
  own(out: LineBuffer, text: string): void {
    const bytes = this.#texts.get(text) ?? this.#encode(text);
    out.copy(bytes, 0, bytes.length);
  }

  #encode(text: string): Buffer {
    const escaped = JSON.stringify(text.slice(0, OWN_TEXT_MAX)).slice(1, -1);
    const ascii = escaped.replace(
      /[^ -~]/g,
      (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
    );
    const encoded = Buffer.from(ascii, "latin1");
    if (this.#texts.size >= KEPT_TEXTS_MAX) this.#texts.clear();
    this.#texts.set(text, encoded);
    return encoded;
  }
}

export interface LineEncoder {
  /** A bit for each RecordText that it shows. */
  readonly wanted: number;
  /** Needs LINE_BYTES_MAX of room. */
  encode(out: LineBuffer, record: AccessRecord): void;
}

export class TextEncoding implements LineEncoder {
  readonly wanted: number = ~(1 << RecordText.traceParent);
  readonly #parts = new Parts();

  encode(out: LineBuffer, record: AccessRecord): void {
    const parts = this.#parts;
    out.byte(0x5b);
    parts.time(out, record.startMs);
    out.ascii('] "');
    peerOrDash(out, record, RecordText.method);
    out.byte(SPACE);
    const { originalPath, path } = RecordText;
    peerOrDash(out, record, record.ends[originalPath] === 0 ? path : originalPath);
    out.ascii(record.protocol === 1 ? ' HTTP/1.1" ' : ` ${protocolName(record.protocol)}" `);
    out.integer(record.status);
    out.byte(SPACE);
    this.#outcome(out, record);
    out.integer(record.bytesReceived);
    out.byte(SPACE);
    out.integer(record.bytesSent);
    out.byte(SPACE);
    out.integer(record.durationMs);
    out.byte(SPACE);
    if (record.upstreamServiceMs < 0) out.byte(DASH);
    else out.integer(record.upstreamServiceMs);
    out.ascii(' "');
    peerOrDash(out, record, RecordText.forwardedFor);
    out.ascii('" "');
    peerOrDash(out, record, RecordText.userAgent);
    out.ascii('" "');
    peerOrDash(out, record, RecordText.requestId);
    out.ascii('" "');
    peerOrDash(out, record, RecordText.authority);
    out.ascii('" "');
    this.#places(out, record);
    out.byte(NEWLINE);
  }

  /** Flags, details, why the connection ended, what the upstream's transport said. */
  #outcome(out: LineBuffer, record: AccessRecord): void {
    const { failure, details } = record;
    if (failure === undefined) {
      out.ascii("- ");
      this.#word(out, details);
    } else {
      out.ascii(failure.flag);
      out.byte(SPACE);
      out.ascii(failure.reason);
      if (details !== "") {
        out.byte(0x7b);
        this.#parts.own(out, withoutSpaces(details));
        out.byte(0x7d);
      }
    }
    out.ascii(' - "');
    this.#word(out, record.upstreamTransportFailure);
    out.ascii('" ');
  }

  #places(out: LineBuffer, record: AccessRecord): void {
    this.#word(out, record.upstreamHost);
    out.ascii('" ');
    this.#word(out, record.upstreamCluster);
    out.byte(SPACE);
    address(out, record.upstreamLocalAddress);
    address(out, record.downstreamLocalAddress);
    address(out, record.downstreamRemoteAddress);
    this.#word(out, record.requestedServerName);
    out.byte(SPACE);
    this.#word(out, record.routeName);
  }

  #word(out: LineBuffer, text: string): void {
    if (text === "") out.byte(DASH);
    else this.#parts.own(out, withoutSpaces(text));
  }
}

export class JsonEncoding implements LineEncoder {
  readonly wanted: number = -1;
  readonly #parts = new Parts();

  encode(out: LineBuffer, record: AccessRecord): void {
    const { failure, details } = record;
    out.ascii('{"start_time":"');
    this.#parts.time(out, record.startMs);
    out.ascii('","protocol":"');
    out.ascii(protocolName(record.protocol));
    out.ascii('","response_code":');
    out.integer(record.status);
    out.ascii(',"response_flags":"');
    out.ascii(failure?.flag ?? "-");
    out.byte(QUOTE);
    this.#own(out, ',"response_code_details":"', failure?.reason ?? details);
    if (failure !== undefined) this.#own(out, ',"response_code_cause":"', details);
    this.#numbers(out, record);
    this.#peers(out, record);
    this.#own(out, ',"upstream_transport_failure_reason":"', record.upstreamTransportFailure);
    this.#own(out, ',"upstream_host":"', record.upstreamHost);
    this.#own(out, ',"upstream_cluster":"', record.upstreamCluster);
    jsonAddress(out, ',"upstream_local_address":"', record.upstreamLocalAddress);
    jsonAddress(out, ',"downstream_local_address":"', record.downstreamLocalAddress);
    jsonAddress(out, ',"downstream_remote_address":"', record.downstreamRemoteAddress);
    this.#own(out, ',"requested_server_name":"', record.requestedServerName);
    this.#own(out, ',"route_name":"', record.routeName);
    out.ascii("}\n");
  }

  #numbers(out: LineBuffer, record: AccessRecord): void {
    out.ascii(',"connection_termination_details":null,"bytes_received":');
    out.integer(record.bytesReceived);
    out.ascii(',"bytes_sent":');
    out.integer(record.bytesSent);
    out.ascii(',"duration":');
    out.integer(record.durationMs);
    out.ascii(',"upstream_service_time":');
    if (record.upstreamServiceMs < 0) out.ascii("null");
    else out.integer(record.upstreamServiceMs);
    out.ascii(',"upstream_request_attempt_count":');
    out.integer(record.attempts);
  }

  #peers(out: LineBuffer, record: AccessRecord): void {
    const { originalPath, path } = RecordText;
    jsonPeer(out, ',"method":"', record, RecordText.method);
    jsonPeer(out, ',"path":"', record, record.ends[originalPath] === 0 ? path : originalPath);
    jsonPeer(out, ',"authority":"', record, RecordText.authority);
    jsonPeer(out, ',"x_forwarded_for":"', record, RecordText.forwardedFor);
    jsonPeer(out, ',"user_agent":"', record, RecordText.userAgent);
    jsonPeer(out, ',"request_id":"', record, RecordText.requestId);
    jsonPeer(out, ',"traceparent":"', record, RecordText.traceParent);
  }

  #own(out: LineBuffer, key: string, text: string): void {
    out.ascii(key);
    if (text === "") return nullInstead(out);
    this.#parts.own(out, text);
    out.byte(QUOTE);
  }
}

function protocolName(protocol: number): string {
  if (protocol === 1) return "HTTP/1.1";
  return protocol === 0 ? "HTTP/1.0" : protocol === 20 ? "HTTP/2" : "-";
}

/** Returns false if the record has no such text. */
function peer(out: LineBuffer, record: AccessRecord, kind: RecordTextKind): boolean {
  const end = record.ends[kind]!;
  if (end === 0) return false;
  const start = record.starts[kind]!;
  if (record.isPlain) out.copy(record.bytes, start, end);
  else out.escape(record.bytes, start, end);
  return true;
}

function peerOrDash(out: LineBuffer, record: AccessRecord, kind: RecordTextKind): void {
  if (!peer(out, record, kind)) out.byte(DASH);
}

/** `key` ends with the opening quote. */
function jsonPeer(out: LineBuffer, key: string, record: AccessRecord, kind: RecordTextKind): void {
  out.ascii(key);
  if (peer(out, record, kind)) out.byte(QUOTE);
  else nullInstead(out);
}

/** Takes the opening quote back. */
function nullInstead(out: LineBuffer): void {
  out.length--;
  out.ascii("null");
}

function address(out: LineBuffer, text: string): void {
  if (text === "") out.byte(DASH);
  else out.ascii(text);
  out.byte(SPACE);
}

function jsonAddress(out: LineBuffer, key: string, text: string): void {
  out.ascii(key);
  if (text === "") return nullInstead(out);
  out.ascii(text);
  out.byte(QUOTE);
}

/** A column of the text format has none. */
function withoutSpaces(text: string): string {
  return text.includes(" ") ? text.replaceAll(" ", "_") : text;
}
