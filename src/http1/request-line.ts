/** Scans a request line: method SP request-target SP HTTP-version CRLF (RFC 9112 3). */
import { Failures } from "../core/failure.ts";
import { readAuthority } from "../http/authority.ts";
import { type MessageHead, TargetForm } from "../http/message-head.ts";
import { MethodId, methodIdOf } from "../http/method.ts";
import { Ascii, Octet, octetClass } from "../http/octet.ts";

/** Returns the offset past the line, 0 where it is incomplete, or -1 where it is refused. */
export function scanRequestLine(
  bytes: Uint8Array,
  from: number,
  to: number,
  head: MessageHead,
): number {
  const start = skipEmptyLines(bytes, from, to, head);
  if (start < 0 || start === to) return Math.min(start, 0);
  head.start = start;
  // Reading one octet past the limit is how we know that the line is too long.
  const stop = Math.min(to, start + head.limits.startLineBytesMax + 3);
  let at = start;
  while (at < stop && (octetClass[bytes[at]!]! & Octet.token) !== 0) at++;
  if (at === stop) return unfinished(head, stop, to);
  if (bytes[at] !== Ascii.space || at === start) return refuseLine(head, bytes[at]!, "method");
  head.methodEnd = at;
  const target = ++at;
  while (at < stop && (octetClass[bytes[at]!]! & Octet.path) !== 0) at++;
  head.targetStart = target;
  head.pathStart = target;
  head.pathEnd = at;
  head.queryStart = -1;
  head.queryEnd = -1;
  if (at < stop && bytes[at] === Ascii.question) {
    head.queryStart = ++at;
    while (at < stop && (octetClass[bytes[at]!]! & Octet.target) !== 0) at++;
    head.queryEnd = at;
  }
  if (at === stop) return unfinished(head, stop, to);
  if (bytes[at] !== Ascii.space || at === target) return refuseTarget(head, bytes[at]!);
  head.targetEnd = at;
  at = scanVersion(bytes, at + 1, stop, head);
  if (at <= 0) return at < 0 ? -1 : unfinished(head, stop, to);
  if (at - 2 - start > head.limits.startLineBytesMax) return unfinished(head, stop, stop + 1);
  head.method = methodIdOf(bytes, start, head.methodEnd);
  return readTarget(bytes, head) ? at : -1;
}

/** A server should ignore empty lines before a request line (RFC 9112 2.2); we do, a few. */
function skipEmptyLines(bytes: Uint8Array, from: number, to: number, head: MessageHead): number {
  let at = from;
  while (at < to && bytes[at] === Ascii.cr) {
    if (at + 1 === to) return to;
    if (bytes[at + 1] !== Ascii.lf) return head.refuse(Failures.badRequestLine, "bare CR");
    at += 2;
    if (at - from > 2 * head.limits.emptyLinesMax) {
      return head.refuse(Failures.badRequestLine, "too many empty lines");
    }
  }
  return at;
}

function scanVersion(bytes: Uint8Array, from: number, to: number, head: MessageHead): number {
  for (let i = 0; i < 10; i++) {
    if (from + i === to) return 0;
    const octet = bytes[from + i]!;
    const wanted = versionPattern[i]!;
    if (wanted === Ascii.zero ? (octetClass[octet]! & Octet.digit) === 0 : octet !== wanted) {
      head.isForeign =
        i < SLASH_AT && methodIdOf(bytes, head.start, head.methodEnd) === MethodId.other;
      return head.refuse(Failures.badRequestLine, "HTTP version");
    }
  }
  const major = bytes[from + 5]!;
  if (major !== Ascii.zero + 1) {
    head.http2Preface = isPreface(head, major);
    return head.refuse(
      Failures.unsupportedVersion,
      head.http2Preface ? "HTTP/2 preface" : "not HTTP/1",
    );
  }
  head.minorVersion = bytes[from + 7] === Ascii.zero ? 0 : 1;
  return from + 10;
}

/** Where "HTTP/" ends. */
const SLASH_AT = 4;
/** A "0" stands for any digit. */
const versionPattern = new TextEncoder().encode("HTTP/0.0\r\n");

/** PRI * HTTP/2.0: a client that speaks HTTP/2 with prior knowledge (RFC 9113 3.4). */
function isPreface(head: MessageHead, major: number): boolean {
  return (
    major === Ascii.zero + 2 &&
    head.text(head.start, head.methodEnd) === "PRI" &&
    head.text(head.targetStart, head.targetEnd) === "*"
  );
}

function readTarget(bytes: Uint8Array, head: MessageHead): boolean {
  head.authorityStart = -1;
  head.authorityEnd = -1;
  head.hostEnd = -1;
  head.port = 0;
  head.schemeIsHttps = false;
  const start = head.targetStart;
  if (head.method === MethodId.connect) return readConnectTarget(bytes, head);
  if (bytes[start] === Ascii.slash) {
    head.form = TargetForm.origin;
    return true;
  }
  if (bytes[start] === Ascii.star && head.targetEnd === start + 1) {
    head.form = TargetForm.asterisk;
    if (head.method === MethodId.options) return true;
    head.refuse(Failures.badTarget, "* only with OPTIONS");
    return false;
  }
  return readAbsoluteTarget(bytes, head);
}

function readConnectTarget(bytes: Uint8Array, head: MessageHead): boolean {
  head.form = TargetForm.authority;
  const start = head.targetStart;
  const valid = readAuthority(bytes, start, head.targetEnd, head);
  if (valid && head.port > 0 && head.hostEnd > start) return true;
  head.refuse(Failures.badTarget, "CONNECT needs host and port");
  return false;
}

/** http(s)://authority[/path][?query]; other schemes are not ours to forward. */
function readAbsoluteTarget(bytes: Uint8Array, head: MessageHead): boolean {
  head.form = TargetForm.absolute;
  const scheme = schemeLength(bytes, head.targetStart, head.pathEnd);
  head.schemeIsHttps = scheme === 8;
  const authority = head.targetStart + scheme;
  let path = authority;
  while (path < head.pathEnd && bytes[path] !== Ascii.slash) path++;
  if (scheme > 0 && path > authority && readAuthority(bytes, authority, path, head)) {
    head.pathStart = path;
    if (head.hostEnd > authority) return true;
  }
  head.refuse(Failures.badTarget, scheme > 0 ? "authority of the target" : "form of the target");
  return false;
}

/** Octets of "http://" or "https://" in any case, or 0. */
function schemeLength(bytes: Uint8Array, from: number, to: number): number {
  let at = from;
  for (let i = 0; i < 4; i++, at++) {
    if (at >= to || (bytes[at]! | 32) !== http[i]) return 0;
  }
  if (at < to && (bytes[at]! | 32) === 115) at++;
  const colon = at;
  if (colon + 3 > to || bytes[colon] !== Ascii.colon) return 0;
  if (bytes[colon + 1] !== Ascii.slash || bytes[colon + 2] !== Ascii.slash) return 0;
  return colon + 3 - from;
}

const http = new TextEncoder().encode("http");

/** The line does not end before `stop`: too long already, or not all here yet. */
function unfinished(head: MessageHead, stop: number, to: number): number {
  if (stop === to && to - head.start <= head.limits.startLineBytesMax + 2) return 0;
  return head.refuse(Failures.targetTooLong, "request line too long");
}

function refuseLine(head: MessageHead, octet: number, part: string): number {
  return head.refuse(Failures.badRequestLine, octet === Ascii.lf ? "bare LF" : part);
}

function refuseTarget(head: MessageHead, octet: number): number {
  if (octet === Ascii.hash) return head.refuse(Failures.badTarget, "fragment");
  if (octet === Ascii.lf) return head.refuse(Failures.badRequestLine, "bare LF");
  if (octet === Ascii.space || octet === Ascii.tab || octet === Ascii.cr) {
    return head.refuse(Failures.badRequestLine, "not method, target and version");
  }
  return head.refuse(Failures.badTarget, "octet not allowed in a target");
}
