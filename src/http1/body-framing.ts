/**
 * Reads Content-Length and Transfer-Encoding (RFC 9112 6), where two readers must never differ.
 *
 * Repeated fields, lists, signs, leading zeros, codings other than exactly "chunked", and both
 * fields together are refused, never repaired.
 */

import { equalsWord } from "./connection-option.ts";
import { FieldId } from "./field-id.ts";
import type { MessageHead } from "./message-head.ts";
import { Ascii, Octet, octetClass } from "./octet.ts";

const chunked = new TextEncoder().encode("chunked");

/** Outcomes of readContentLength that are not a length. */
export const Length = { absent: -1, malformed: -2, tooLarge: -3 } as const;

/** The length that the head announces, or one of Length. */
export function readContentLength(head: MessageHead): number {
  const field = head.firstOf[FieldId.contentLength]!;
  if (field === -1) return Length.absent;
  if ((head.repeated & (1 << FieldId.contentLength)) !== 0) return Length.malformed;
  const { bytes } = head;
  const start = head.valueStart[field]!;
  const end = head.valueEnd[field]!;
  if (start === end) return Length.malformed;
  if (bytes[start] === Ascii.zero && end - start > 1) return Length.malformed;
  let length = 0;
  for (let at = start; at < end; at++) {
    if ((octetClass[bytes[at]!]! & Octet.digit) === 0) return Length.malformed;
    length = length * 10 + bytes[at]! - Ascii.zero;
  }
  return length > Number.MAX_SAFE_INTEGER ? Length.tooLarge : length;
}

export const Coding = {
  absent: 0,
  chunked: 1,
  /** Well formed, but a coding that we do not have: 501. */
  unsupported: 2,
  /** The end of the content cannot be known: 400. */
  malformed: 3,
} as const;
export type Coding = (typeof Coding)[keyof typeof Coding];

export function readTransferEncoding(head: MessageHead): Coding {
  const field = head.firstOf[FieldId.transferEncoding]!;
  if (field === -1) return Coding.absent;
  const { bytes } = head;
  const start = head.valueStart[field]!;
  const end = head.valueEnd[field]!;
  const once = (head.repeated & (1 << FieldId.transferEncoding)) === 0;
  if (once && equalsWord(bytes, start, end, chunked)) return Coding.chunked;
  return judgeCodings(head);
}

/**
 * Which refusal: other codings alone, or before a final "chunked", are unsupported; "chunked" that
 * is not last, not alone at its place, or twice is malformed, and so is what is no list of tokens.
 */
function judgeCodings(head: MessageHead): Coding {
  const names = head
    .valuesText(FieldId.transferEncoding)
    .split(",")
    .map((name) => name.replace(/^[ \t]+|[ \t]+$/g, "").toLowerCase());
  if (names.some((name) => !/^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name))) return Coding.malformed;
  const count = names.filter((name) => name === "chunked").length;
  if (count === 0) return Coding.unsupported;
  return count === 1 && names.length > 1 && names.at(-1) === "chunked"
    ? Coding.unsupported
    : Coding.malformed;
}
