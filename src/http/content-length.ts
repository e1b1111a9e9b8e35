/**
 * Reads Content-Length (RFC 9110 8.6), where two readers must never differ: repeated fields, lists,
 * signs and leading zeros are refused, never repaired.
 */
import { FieldId } from "./field-id.ts";
import type { MessageHead } from "./message-head.ts";
import { Ascii, Octet, octetClass } from "./octet.ts";

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
