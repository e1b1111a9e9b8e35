/**
 * Whether a message is gRPC, and in which dress: "application/grpc" with or without a suffix as
 * gRPC over HTTP/2 has it, "application/grpc-web" and "application/grpc-web-text" as browsers do
 * (PROTOCOL-HTTP2.md and PROTOCOL-WEB.md of gRPC).
 */
import { FieldId } from "../../http/field-id.ts";
import type { MessageHead } from "../../http/message-head.ts";
import { Ascii } from "../../http/octet.ts";
import { encode, startsWithFolded } from "../route/byte-range.ts";

export const CallKind = {
  /** Not gRPC. */
  none: 0,
  grpc: 1,
  /** gRPC-Web: trailers are the last part of the content. */
  web: 2,
  /** The same as base64. */
  webText: 3,
} as const;
export type CallKind = (typeof CallKind)[keyof typeof CallKind];

const GRPC = encode("application/grpc");
const WEB = encode("-web");
const TEXT = encode("-text");
const PLUS = 0x2b;
const LETTER_G = 0x67;

/** Of a head with one content-type. What is not gRPC is told apart by two looks. */
export function callKindOf(head: MessageHead): CallKind {
  const field = head.firstOf[FieldId.contentType]!;
  if (field === -1) return CallKind.none;
  const from = head.valueStart[field]!;
  if ((head.bytes[from + GRPC.length - 4]! | 0x20) !== LETTER_G) return CallKind.none;
  if (head.nextOf(FieldId.contentType, field) !== -1) return CallKind.none;
  return mediaKind(head.bytes, from, head.valueEnd[field]!);
}

/** Of a content-type, or one element of Accept, in any case. */
export function mediaKind(bytes: Uint8Array, from: number, to: number): CallKind {
  const end = endOf(bytes, from, to, GRPC);
  if (end === -1) return CallKind.none;
  if (endsType(bytes, end, to)) return CallKind.grpc;
  const web = endOf(bytes, end, to, WEB);
  if (web === -1) return CallKind.none;
  if (endsType(bytes, web, to)) return CallKind.web;
  const text = endOf(bytes, web, to, TEXT);
  return text !== -1 && endsType(bytes, text, to) ? CallKind.webText : CallKind.none;
}

/** What follows the type itself: "+proto", "; charset=utf-8", "". */
export function suffixOf(bytes: Uint8Array, from: number, to: number): string {
  let at = from + GRPC.length;
  while (at < to && !endsType(bytes, at, to)) at++;
  return Buffer.from(bytes.subarray(at, to)).toString("latin1");
}

/** Past the word that stands at `from`, or -1. */
function endOf(bytes: Uint8Array, from: number, to: number, word: Uint8Array): number {
  const end = from + word.length;
  return end <= to && startsWithFolded(bytes, from, word) ? end : -1;
}

function endsType(bytes: Uint8Array, at: number, to: number): boolean {
  if (at === to) return true;
  const octet = bytes[at]!;
  return (
    octet === PLUS || octet === Ascii.semicolon || octet === Ascii.space || octet === Ascii.tab
  );
}
