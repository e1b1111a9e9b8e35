/** Scans the head of a response (RFC 9112 4 and 6.3), strictly, once over its octets. */
import type { MessageHead } from "./message-head.ts";

/**
 * Returns as scanRequestHead does. `head.requestMethod` and `head.upgradeWasSent` must be set before,
 * since the framing of a response depends on what it answers. A refused response is always
 * Failures.upstreamBadResponse; `head.detail` says more.
 */
export function scanResponseHead(
  _bytes: Uint8Array,
  _from: number,
  _to: number,
  _head: MessageHead,
): number {
  return 0;
}
