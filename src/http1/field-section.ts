/**
 * Scans field lines up to the empty line (RFC 9112 5), for heads of both directions.
 *
 * Refused: obs-fold, whitespace before a colon, names that are not tokens, line ends other than
 * CRLF, and control characters except HTAB in values. Field values keep their octets above 0x7f.
 */
import { type Failure, Failures } from "../core/failure.ts";
import { FieldId, fieldIdCount, fieldIdOf } from "../http/field-id.ts";
import type { MessageHead } from "../http/message-head.ts";
import { Ascii, Octet, octetClass } from "../http/octet.ts";

/** Fields that concern one connection, and are never forwarded as they came (RFC 9110 7.6.1). */
const hopByHop: Uint8Array = new Uint8Array(fieldIdCount);
for (const id of [
  FieldId.connection,
  FieldId.keepAlive,
  FieldId.proxyConnection,
  FieldId.te,
  FieldId.upgrade,
  FieldId.http2Settings,
]) {
  hopByHop[id] = 1;
}

/** `failure` is for lines that are malformed; the rest is as scanRequestHead. */
export function scanFields(bytes: Uint8Array, from: number, to: number, head: MessageHead): number {
  forgetFields(head);
  const { fieldId, nameStart, nameEnd, valueStart, valueEnd, dropped, firstOf } = head;
  const fieldsMax = head.limits.fieldsMax;
  let repeated = 0;
  let count = 0;
  let at = from;
  for (;;) {
    if (at + 1 >= to) return at < to ? startsLine(bytes[at]!, head) : 0;
    nameStart[count] = at;
    if (bytes[at] === Ascii.cr) break;
    if (count === fieldsMax) return head.refuse(Failures.headTooLarge, "too many fields");
    const name = at;
    at = pastPairs(bytes, at, to);
    while (at < to && (octetClass[bytes[at]!]! & Octet.token) !== 0) at++;
    if (at === to) return 0;
    if (bytes[at] !== Ascii.colon || at === name) return refuseName(bytes, name, at, head);
    const colon = at++;
    while (at < to && (bytes[at] === Ascii.space || bytes[at] === Ascii.tab)) at++;
    const value = at;
    at = pastFours(bytes, at, to);
    while (at < to && (octetClass[bytes[at]!]! & Octet.value) !== 0) at++;
    if (at === to) return 0;
    if (bytes[at] !== Ascii.cr) return refuseValue(bytes[at]!, head);
    if (at + 1 === to) return 0;
    if (bytes[at + 1] !== Ascii.lf) return head.refuse(malformed(head), "bare CR in a field");
    let end = at;
    while (end > value && (bytes[end - 1] === Ascii.space || bytes[end - 1] === Ascii.tab)) end--;
    at += 2;
    const id = fieldIdOf(bytes, name, colon);
    if (id !== FieldId.other) {
      if (firstOf[id] === -1) firstOf[id] = count;
      else if (id < 32) repeated |= 1 << id;
    }
    fieldId[count] = id;
    nameEnd[count] = colon;
    valueStart[count] = value;
    valueEnd[count] = end;
    dropped[count] = hopByHop[id]!;
    head.fieldCount = ++count;
  }
  head.repeated = repeated;
  if (bytes[at + 1] !== Ascii.lf) return head.refuse(malformed(head), "bare CR in a field");
  return at + 2;
}

/** Past token octets, as far as they come in pairs: one test for both. */
function pastPairs(bytes: Uint8Array, from: number, to: number): number {
  let at = from;
  while (
    at < to - 1 &&
    (octetClass[bytes[at]!]! & octetClass[bytes[at + 1]!]! & Octet.token) !== 0
  ) {
    at += 2;
  }
  return at;
}

/** Past octets of a value, as far as they come in fours. */
function pastFours(bytes: Uint8Array, from: number, to: number): number {
  let at = from;
  while (at < to - 3) {
    const first = octetClass[bytes[at]!]! & octetClass[bytes[at + 1]!]!;
    const second = octetClass[bytes[at + 2]!]! & octetClass[bytes[at + 3]!]!;
    if ((first & second & Octet.value) === 0) break;
    at += 4;
  }
  return at;
}

/** Only the slots that the last head used are cleared: that is less than the whole table. */
function forgetFields(head: MessageHead): void {
  for (let i = 0; i < head.fieldCount; i++) head.firstOf[head.fieldId[i]!] = -1;
  head.fieldCount = 0;
  head.repeated = 0;
}

/** What a lone last octet can still become. */
function startsLine(octet: number, head: MessageHead): number {
  const sound = octet === Ascii.cr || (octetClass[octet]! & Octet.token) !== 0;
  return sound ? 0 : head.refuse(malformed(head), "field name is not a token");
}

function refuseName(bytes: Uint8Array, name: number, at: number, head: MessageHead): number {
  const octet = bytes[at]!;
  const blank = octet === Ascii.space || octet === Ascii.tab;
  const failure = malformed(head);
  if (blank && at === name) return head.refuse(failure, "line folding or a space before a field");
  if (blank) return head.refuse(failure, "space before a colon");
  if (octet === Ascii.lf) return head.refuse(failure, "bare LF");
  if (octet === Ascii.cr) return head.refuse(failure, "field without a colon");
  return head.refuse(failure, "field name is not a token");
}

function refuseValue(octet: number, head: MessageHead): number {
  return head.refuse(malformed(head), octet === Ascii.lf ? "bare LF" : "control character");
}

function malformed(head: MessageHead): Failure {
  return head.status === 0 ? Failures.badField : Failures.upstreamBadResponse;
}
