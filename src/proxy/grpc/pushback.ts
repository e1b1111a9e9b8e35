/**
 * grpc-retry-pushback-ms: what a server says of another try of a call that it failed (gRFC A6). A
 * number is how long to wait for it; anything else asks for none.
 */
import type { MessageHead } from "../../http/message-head.ts";
import { encode } from "../route/byte-range.ts";

/** The server does not say: the usual backoff. */
export const NO_WAIT = -1;
/** No further try. */
export const NEVER = Number.POSITIVE_INFINITY;
const PUSHBACK = encode("grpc-retry-pushback-ms");
const DIGITS_MAX = 9;

/** Milliseconds, NO_WAIT or NEVER. */
export function pushbackMs(head: MessageHead): number {
  const field = head.find(PUSHBACK);
  if (field === -1) return NO_WAIT;
  const from = head.valueStart[field]!;
  const to = head.valueEnd[field]!;
  if (from === to || to - from > DIGITS_MAX || head.find(PUSHBACK, field + 1) !== -1) return NEVER;
  let ms = 0;
  for (let at = from; at < to; at++) {
    const digit = head.bytes[at]! - 0x30;
    if (digit < 0 || digit > 9) return NEVER;
    ms = ms * 10 + digit;
  }
  return ms;
}
