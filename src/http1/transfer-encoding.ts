/**
 * Reads Transfer-Encoding (RFC 9112 6.1), where two readers must never differ: codings other than
 * exactly "chunked", and repeated fields, are refused, never repaired.
 */
import { equalsWord } from "../http/connection-option.ts";
import { FieldId } from "../http/field-id.ts";
import type { MessageHead } from "../http/message-head.ts";

const chunked = new TextEncoder().encode("chunked");

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
