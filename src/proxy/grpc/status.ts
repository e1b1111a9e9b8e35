/** grpc-status, in a head or among trailers, and what statuses of HTTP mean as one. */
import { decodeMessage } from "../../api/grpc-text.ts";
import { FieldId, fieldIdOf } from "../../http/field-id.ts";
import type { MessageHead } from "../../http/message-head.ts";
import { Ascii } from "../../http/octet.ts";
import { grpcStatusNames } from "../../telemetry/grpc-status-name.ts";

const MESSAGE = new TextEncoder().encode("grpc-message");

/** Nothing was said. */
export const NO_STATUS = -1;
export const OK = 0;
export const UNKNOWN = 2;
export const DEADLINE_EXCEEDED = 4;
export const UNIMPLEMENTED = 12;

/** What a client makes of a bare HTTP status (gRPC, "HTTP to gRPC Status Code Mapping"). */
const ofHttp: Readonly<Record<number, number>> = {
  400: 13,
  401: 16,
  403: 7,
  404: 12,
  429: 14,
  502: 14,
  503: 14,
  504: 14,
};

export function codeOfHttp(status: number): number {
  return ofHttp[status] ?? UNKNOWN;
}

/** Of a head; NO_STATUS where it has none, UNKNOWN where it is no code. */
export function statusOf(head: MessageHead): number {
  const field = head.firstOf[FieldId.grpcStatus]!;
  if (field === -1) return NO_STATUS;
  return codeOf(head.bytes, head.valueStart[field]!, head.valueEnd[field]!);
}

/** grpc-message of a head, decoded; "": none. */
export function messageOf(head: MessageHead): string {
  const field = head.find(MESSAGE);
  return field === -1 ? "" : decodeMessage(head.valueText(field));
}

/** The same of trailers, as statusIn. */
export function messageIn(lines: Uint8Array, from: number, to: number): string {
  const text = Buffer.from(lines.buffer, lines.byteOffset + from, to - from).toString("latin1");
  return decodeMessage(/^grpc-message:[ \t]*(.*?)[ \t]*\r?$/im.exec(text)?.[1] ?? "");
}

/** Of trailers: lines[from, to), whole, each with its CRLF. */
export function statusIn(lines: Uint8Array, from: number, to: number): number {
  for (let at = from; at < to; ) {
    let end = at;
    while (end < to && lines[end] !== Ascii.lf) end++;
    let colon = at;
    while (colon < end && lines[colon] !== Ascii.colon) colon++;
    if (colon < end && fieldIdOf(lines, at, colon) === FieldId.grpcStatus)
      return trimmedCode(lines, colon + 1, end);
    at = end + 1;
  }
  return NO_STATUS;
}

function trimmedCode(lines: Uint8Array, from: number, to: number): number {
  let start = from;
  let end = to;
  while (start < end && isBlank(lines[start]!)) start++;
  while (end > start && isBlank(lines[end - 1]!)) end--;
  return codeOf(lines, start, end);
}

/** Codes that nobody has defined are UNKNOWN. */
function codeOf(bytes: Uint8Array, from: number, to: number): number {
  if (to === from || to - from > 2) return UNKNOWN;
  let code = 0;
  for (let at = from; at < to; at++) {
    const digit = bytes[at]! - 0x30;
    if (digit < 0 || digit > 9) return UNKNOWN;
    code = code * 10 + digit;
  }
  return code < grpcStatusNames.length ? code : UNKNOWN;
}

function isBlank(octet: number): boolean {
  return octet === Ascii.space || octet === Ascii.tab || octet === Ascii.cr;
}
