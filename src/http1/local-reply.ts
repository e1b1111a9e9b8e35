/** Replies that the proxy makes itself, as prepared octets. */
import type { Failure } from "../core/failure.ts";

/**
 * The whole reply to a failure: status line, x-mesh-reason, a short text for people, and connection:
 * close where `closes`. `detail` follows the reason in the text: a rule or limit, no secrets.
 */
export function failureReply(_failure: Failure, _closes: boolean, _detail = ""): Uint8Array {
  return new Uint8Array(0);
}
