/** Scans the head of a request (RFC 9112 3 and 5), strictly, once over its octets. */
import type { MessageHead } from "./message-head.ts";

/**
 * Scans the head that begins at `from`. Returns the offset past it; 0 where it is sound so far but
 * not complete before `to`; a negative number where it is refused, with `head.failure` saying why.
 */
export function scanRequestHead(
  _bytes: Uint8Array,
  _from: number,
  _to: number,
  _head: MessageHead,
): number {
  return 0;
}
