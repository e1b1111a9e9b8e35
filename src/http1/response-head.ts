/** Scans the head of a response (RFC 9112 4 and 6.3), strictly, once over its octets. */
import { Failures } from "../core/failure.ts";
import { ConnectionOption, equalsWord, readConnection } from "../http/connection-option.ts";
import { Length, readContentLength } from "../http/content-length.ts";
import { FieldId } from "../http/field-id.ts";
import { Framing, type MessageHead } from "../http/message-head.ts";
import { MethodId } from "../http/method.ts";
import { Ascii, Octet, octetClass } from "../http/octet.ts";
import { scanFields } from "./field-section.ts";
import { Coding, readTransferEncoding } from "./transfer-encoding.ts";

/**
 * Returns as scanRequestHead does. `head.requestMethod` and `head.upgradeWasSent` must be set
 * before, since the framing of a response depends on what it answers. A refused response is always
 * Failures.upstreamBadResponse; `head.detail` says more.
 */
export function scanResponseHead(
  bytes: Uint8Array,
  from: number,
  to: number,
  head: MessageHead,
): number {
  head.bytes = bytes;
  head.start = from;
  head.failure = undefined;
  head.detail = "";
  head.status = -1;
  const fields = scanStatusLine(bytes, from, to, head);
  if (fields <= 0) return fields;
  const end = scanFields(bytes, fields, to, head);
  if (end < 0) return refuse(head, head.detail);
  if ((end > 0 ? end : to) - from > head.limits.headBytesMax) return refuse(head, "head too long");
  if (end === 0) return 0;
  head.end = end;
  return decideFraming(head) && decideConnection(head) ? end : -1;
}

/** The one protocol that we pass an Upgrade for. */
const websocket = new TextEncoder().encode("websocket");

/** "HTTP/0.0 " with a "0" for any digit. */
const versionPattern = new TextEncoder().encode("HTTP/0.0 ");

function scanStatusLine(bytes: Uint8Array, from: number, to: number, head: MessageHead): number {
  const stop = Math.min(to, from + head.limits.startLineBytesMax + 3);
  for (let i = 0; i < 12; i++) {
    if (from + i === stop) return 0;
    const octet = bytes[from + i]!;
    const wanted = i < 9 ? versionPattern[i]! : Ascii.zero;
    if (wanted === Ascii.zero ? (octetClass[octet]! & Octet.digit) === 0 : octet !== wanted) {
      return refuse(head, "status line");
    }
  }
  if (bytes[from + 5] !== Ascii.zero + 1) return refuse(head, "not HTTP/1");
  head.minorVersion = bytes[from + 7] === Ascii.zero ? 0 : 1;
  const status =
    (bytes[from + 9]! - Ascii.zero) * 100 +
    (bytes[from + 10]! - Ascii.zero) * 10 +
    (bytes[from + 11]! - Ascii.zero);
  if (status < 100 || status > 599) return refuse(head, "status code");
  let at = from + 12;
  if (at === stop) return 0;
  // The space belongs there even before no reason; servers forget it, and nothing depends on it.
  if (bytes[at] === Ascii.space) at++;
  else if (bytes[at] !== Ascii.cr) return refuse(head, "status line");
  head.reasonStart = at;
  while (at < stop && (octetClass[bytes[at]!]! & Octet.value) !== 0) at++;
  if (at === stop) return stop === to ? 0 : refuse(head, "status line too long");
  if (bytes[at] !== Ascii.cr) return refuse(head, "bare LF or a control character");
  head.reasonEnd = at;
  if (at + 1 === stop) return stop === to ? 0 : refuse(head, "status line too long");
  if (bytes[at + 1] !== Ascii.lf) return refuse(head, "bare CR");
  head.status = status;
  return at + 2;
}

/** RFC 9112 6.3, in its order. */
function decideFraming(head: MessageHead): boolean {
  const { status, requestMethod } = head;
  trimLength(head);
  const length = readContentLength(head);
  const coding = readTransferEncoding(head);
  head.contentLength = Math.max(length, 0);
  const tunnels = requestMethod === MethodId.connect && status >= 200 && status < 300;
  if (status < 200 || (status === 204 && !tunnels)) return decideBodiless(head);
  if (length < Length.absent) return refused(head, "Content-Length");
  if (coding !== Coding.absent) {
    if (coding !== Coding.chunked) return refused(head, "Transfer-Encoding is not chunked");
    if (head.minorVersion === 0) return refused(head, "Transfer-Encoding in HTTP/1.0");
    if (length !== Length.absent) return refused(head, "Transfer-Encoding and Content-Length");
  }
  if (tunnels) {
    head.framing = Framing.tunnel;
    dropFraming(head);
  } else if (requestMethod === MethodId.head || status === 304) {
    head.framing = Framing.none;
    head.drop(FieldId.transferEncoding);
  } else if (coding === Coding.chunked) {
    head.framing = Framing.chunked;
  } else {
    head.framing = length === Length.absent ? Framing.untilClose : Framing.length;
  }
  return true;
}

/**
 * Leading zeros are no fault of grammar (RFC 9110 8.6), and servers that write fields of fixed
 * width exist: the value begins after them, and is sent on so.
 */
function trimLength(head: MessageHead): void {
  const field = head.firstOf[FieldId.contentLength]!;
  if (field === -1) return;
  const last = head.valueEnd[field]! - 1;
  while (head.valueStart[field]! < last && head.bytes[head.valueStart[field]!] === Ascii.zero) {
    head.valueStart[field]!++;
  }
}

/** 1xx and 204 carry neither content nor a word about it (RFC 9110 8.6, RFC 9112 6.1). */
function decideBodiless(head: MessageHead): boolean {
  dropFraming(head);
  head.contentLength = 0;
  head.framing = Framing.none;
  if (head.status !== 101) return true;
  if (!head.upgradeWasSent) return refused(head, "101 that nobody asked for");
  const field = head.firstOf[FieldId.upgrade]!;
  if (field === -1) return refused(head, "101 without Upgrade");
  const start = head.valueStart[field]!;
  if (!equalsWord(head.bytes, start, head.valueEnd[field]!, websocket)) {
    return refused(head, "101 to another protocol");
  }
  head.framing = Framing.tunnel;
  return true;
}

function dropFraming(head: MessageHead): void {
  head.drop(FieldId.contentLength);
  head.drop(FieldId.transferEncoding);
}

function decideConnection(head: MessageHead): boolean {
  head.connectionNamesFields = false;
  let options = 0;
  if (head.firstOf[FieldId.connection] !== -1) {
    options = readConnection(head);
    if (options < 0) return refused(head, "Connection");
  }
  const close = (options & ConnectionOption.close) !== 0;
  const keep = head.minorVersion === 1 || (options & ConnectionOption.keepAlive) !== 0;
  head.keepsAlive = keep && !close && head.framing < Framing.untilClose;
  return true;
}

function refuse(head: MessageHead, detail: string): number {
  return head.refuse(Failures.upstreamBadResponse, detail);
}

function refused(head: MessageHead, detail: string): false {
  refuse(head, detail);
  return false;
}
