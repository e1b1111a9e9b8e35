/**
 * Scans the head of a request (RFC 9112 3 and 5), strictly, once over its octets.
 *
 * Everything that two recipients could read differently is refused with the status that says best
 * what is wrong; nothing is repaired.
 */
import { Failures } from "../core/failure.ts";
import { isSameAuthority, readAuthority } from "../http/authority.ts";
import { ConnectionOption, equalsWord, readConnection } from "../http/connection-option.ts";
import { Length, readContentLength } from "../http/content-length.ts";
import { FieldId } from "../http/field-id.ts";
import { Framing, type MessageHead, TargetForm } from "../http/message-head.ts";
import { MethodId } from "../http/method.ts";
import { scanFields } from "./field-section.ts";
import { scanRequestLine } from "./request-line.ts";
import { Coding, readTransferEncoding } from "./transfer-encoding.ts";

const encoder = new TextEncoder();
const words = {
  continue: encoder.encode("100-continue"),
  websocket: encoder.encode("websocket"),
  trailers: encoder.encode("trailers"),
};

/**
 * Scans the head that begins at `from`. Returns the offset past it; 0 where it is sound so far but
 * not complete before `to`; a negative number where it is refused, with `head.failure` saying why.
 */
export function scanRequestHead(
  bytes: Uint8Array,
  from: number,
  to: number,
  head: MessageHead,
): number {
  head.bytes = bytes;
  head.status = 0;
  head.failure = undefined;
  head.detail = "";
  head.http2Preface = false;
  head.isForeign = false;
  const fields = scanRequestLine(bytes, from, to, head);
  if (fields <= 0) return fields;
  const end = scanFields(bytes, fields, to, head);
  const size = (end > 0 ? end : to) - head.start;
  if (end >= 0 && size > head.limits.headBytesMax) {
    return head.refuse(Failures.headTooLarge, "head too long");
  }
  if (end <= 0) return end;
  head.end = end;
  return isSoundRequest(head) ? end : -1;
}

function isSoundRequest(head: MessageHead): boolean {
  return (
    decideAuthority(head) &&
    decideFraming(head) &&
    decideExpectation(head) &&
    decideConnection(head)
  );
}

/** Exactly one valid Host in HTTP/1.1; an absolute target must agree with it (RFC 9112 3.2). */
function decideAuthority(head: MessageHead): boolean {
  const field = head.firstOf[FieldId.host]!;
  if (field === -1) {
    if (head.minorVersion === 0) return true;
    return refuse(head, "badHost", "HTTP/1.1 without Host");
  }
  if ((head.repeated & (1 << FieldId.host)) !== 0) {
    return refuse(head, "badHost", "more than one Host");
  }
  const { bytes } = head;
  const start = head.valueStart[field]!;
  const end = head.valueEnd[field]!;
  if (head.form === TargetForm.absolute) {
    if (isSameAuthority(bytes, start, end, head)) return true;
    return refuse(head, "badHost", "Host and target differ");
  }
  if (head.form === TargetForm.authority) {
    const { authorityStart, authorityEnd, hostEnd, port } = head;
    const valid = readAuthority(bytes, start, end, head);
    head.authorityStart = authorityStart;
    head.authorityEnd = authorityEnd;
    head.hostEnd = hostEnd;
    head.port = port;
    return valid || refuse(head, "badHost", "Host is not a host and port");
  }
  if (readAuthority(bytes, start, end, head)) return true;
  return refuse(head, "badHost", "Host is not a host and port");
}

function decideFraming(head: MessageHead): boolean {
  const length = readContentLength(head);
  if (length === Length.malformed) return refuse(head, "badContentLength", "not one number");
  if (length === Length.tooLarge) return refuse(head, "contentTooLarge", "Content-Length");
  const coding = readTransferEncoding(head);
  head.contentLength = 0;
  if (coding === Coding.absent) {
    head.framing = length === Length.absent ? Framing.none : Framing.length;
    if (length > 0) head.contentLength = length;
  } else {
    if (head.minorVersion === 0) return refuse(head, "badTransferEncoding", "in HTTP/1.0");
    if (coding === Coding.malformed) return refuse(head, "badTransferEncoding", "not chunked");
    if (coding === Coding.unsupported) return refuse(head, "unsupportedCoding", "not chunked");
    if (length !== Length.absent) {
      return refuse(head, "ambiguousFraming", "Transfer-Encoding and Content-Length");
    }
    head.framing = Framing.chunked;
  }
  if (head.method !== MethodId.connect) return true;
  if (coding === Coding.absent && length <= 0) return true;
  return refuse(head, "ambiguousFraming", "CONNECT with content");
}

function decideExpectation(head: MessageHead): boolean {
  head.expectsContinue = false;
  let field = head.firstOf[FieldId.expect]!;
  while (field !== -1) {
    const from = head.valueStart[field]!;
    if (!equalsWord(head.bytes, from, head.valueEnd[field]!, words.continue)) {
      return refuse(head, "unknownExpectation", "not 100-continue");
    }
    head.expectsContinue = head.minorVersion === 1;
    // An HTTP/1.0 client cannot read a 100, so the expectation ends here (RFC 9110 10.1.1).
    if (head.minorVersion === 0) head.dropped[field] = 1;
    field = head.nextOf(FieldId.expect, field);
  }
  return true;
}

function decideConnection(head: MessageHead): boolean {
  head.connectionNamesFields = false;
  head.acceptsTrailers = false;
  head.upgradesToWebsocket = false;
  // A proxy keeps no connection of an HTTP/1.0 client (RFC 9112 9.3).
  head.keepsAlive = head.minorVersion === 1;
  if (head.firstOf[FieldId.te] !== -1) head.acceptsTrailers = isWord(head, FieldId.te, "trailers");
  if (head.firstOf[FieldId.connection] === -1) return true;
  const options = readConnection(head);
  if (options < 0) return refuse(head, "badConnection", "not a list of tokens");
  if ((options & ConnectionOption.close) !== 0) head.keepsAlive = false;
  head.upgradesToWebsocket =
    (options & ConnectionOption.upgrade) !== 0 &&
    head.method === MethodId.get &&
    head.minorVersion === 1 &&
    head.framing === Framing.none &&
    isWord(head, FieldId.upgrade, "websocket");
  return true;
}

/** Whether the field came once and its value is the word. */
function isWord(head: MessageHead, id: FieldId, word: "trailers" | "websocket"): boolean {
  const field = head.firstOf[id]!;
  if (field === -1 || (head.repeated & (1 << id)) !== 0) return false;
  return equalsWord(head.bytes, head.valueStart[field]!, head.valueEnd[field]!, words[word]);
}

function refuse(head: MessageHead, name: keyof typeof Failures, detail: string): false {
  head.refuse(Failures[name], detail);
  return false;
}
