/** Cross-origin rules of a route: the lines of an answer to a preflight, or to any request. */
import type { MessageHead } from "../../http/message-head.ts";
import type { CorsPolicy } from "../route/cors.ts";

const encoder = new TextEncoder();
const ALLOW_ORIGIN = encoder.encode("access-control-allow-origin: ");
const CRLF = encoder.encode("\r\n");

/** What the policy answers in place of the service. */
const answered = [
  "access-control-allow-origin",
  "access-control-allow-credentials",
  "access-control-expose-headers",
].map((name) => encoder.encode(name));

/** The service's own answers to an allowed Origin are not passed on: two would be none. */
export function dropOwnAnswers(head: MessageHead): void {
  for (let i = 0; i < answered.length; i++) {
    const name = answered[i]!;
    for (let at = head.find(name); at !== -1; at = head.find(name, at + 1)) head.dropped[at] = 1;
  }
}

/** The lines of an answer to an allowed Origin; undefined: there is none, or it is not allowed. */
export function corsLines(
  policy: CorsPolicy,
  head: MessageHead,
  preflight: boolean,
): Uint8Array | undefined {
  const field = policy.allowedOrigin(head);
  if (field === -1) return undefined;
  const origin = head.bytes.subarray(head.valueStart[field]!, head.valueEnd[field]!);
  const lines = preflight ? policy.preflightFields : policy.responseFields;
  return Buffer.concat([ALLOW_ORIGIN, origin, CRLF, lines]);
}
