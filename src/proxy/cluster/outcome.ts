/**
 * What a response head says of the endpoint that sent it, for Cluster.answered(): whether it is
 * well, with gRPC's status where there is one, and how long it wants to be left alone.
 */
import { FieldId } from "../../http/field-id.ts";
import type { MessageHead } from "../../http/message-head.ts";
import { statusOf } from "../grpc/status.ts";
import { encode } from "../route/byte-range.ts";

/** gRPC's codes 0 to 16 as HTTP, as Envoy's outlier detection takes them. */
const httpOfGrpc: readonly number[] = [
  200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401,
];
const grpcType = encode("application/grpc");
const pushback = encode("grpc-retry-pushback-ms");
const WAIT_MS_MAX = 86_400_000;

/**
 * The status to judge by: a gRPC response that is its trailers only (200 with grpc-status in the
 * head) has the status that its code means. All others cost one look.
 */
export function outcomeStatus(head: MessageHead): number {
  if (head.firstOf[FieldId.grpcStatus] === -1 || head.status !== 200 || !isGrpc(head))
    return head.status;
  return outcomeOfCode(statusOf(head));
}

/** The HTTP status that a grpc-status means; one that nobody has defined is an error. */
export function outcomeOfCode(code: number): number {
  return httpOfGrpc[code] ?? 500;
}

/**
 * How long the server asks to be left alone, in milliseconds; 0: it does not ask. Retry-After of a
 * 429 or 503 (RFC 9110 10.2.3, seconds or a date), grpc-retry-pushback-ms of gRPC. Only to be asked
 * for what failed: it makes strings. `wallMs`: since 1970.
 */
export function waitMsOf(head: MessageHead, wallMs: number): number {
  if (head.status === 429 || head.status === 503) {
    const field = head.firstOf[FieldId.retryAfter]!;
    return field === -1 ? 0 : retryAfterMs(head.valueText(field), wallMs);
  }
  if (head.status !== 200 || !isGrpc(head)) return 0;
  const field = head.find(pushback);
  const text = field === -1 ? "" : head.valueText(field);
  return /^\d{1,12}$/.test(text) ? Math.min(Number(text), WAIT_MS_MAX) : 0;
}

function retryAfterMs(text: string, wallMs: number): number {
  if (/^\d{1,9}$/.test(text)) return Math.min(Number(text) * 1_000, WAIT_MS_MAX);
  // An HTTP-date; Date.parse takes much else too.
  if (!/^[A-Z][a-z]{2,8}[, ]/.test(text)) return 0;
  const untilMs = Date.parse(text);
  return Number.isNaN(untilMs) ? 0 : Math.min(Math.max(0, untilMs - wallMs), WAIT_MS_MAX);
}

/** "application/grpc", "application/grpc+proto", …; not "application/grpc-web". */
function isGrpc(head: MessageHead): boolean {
  const field = head.firstOf[FieldId.contentType]!;
  if (field === -1) return false;
  const from = head.valueStart[field]!;
  const to = head.valueEnd[field]!;
  if (to - from < grpcType.length) return false;
  for (let i = 0; i < grpcType.length; i++)
    if ((head.bytes[from + i]! | 0x20) !== (grpcType[i]! | 0x20)) return false;
  const next = head.bytes[from + grpcType.length]!;
  return to - from === grpcType.length || next === 0x2b || next === 0x3b || next === 0x20;
}
