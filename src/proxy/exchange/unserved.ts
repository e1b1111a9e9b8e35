/**
 * The refusal of a sidecar whose application is not there. It comes from the endpoint's own proxy,
 * in front of the application, and names its reason: for the caller it is a connect failure that
 * happened one step further on. Since an application could pass such a reply on from elsewhere,
 * it is believed for idempotent requests only.
 */
import { Failures } from "../../core/failure.ts";
import { equalsWord } from "../../http/connection-option.ts";
import type { MessageHead } from "../../http/message-head.ts";
import { isIdempotent } from "../../http/method.ts";
import { type RetryPolicy, retriesFailure } from "../route/retry.ts";
import type { Exchange } from "./exchange.ts";

const encoder = new TextEncoder();
const field = encoder.encode("x-mesh-reason");
const refused = encoder.encode(Failures.connectFailure.reason);

/** Whether the response in `head` says so, and the route tries again after connect failures. */
export function isUnserved(ex: Exchange, policy: RetryPolicy, head: MessageHead): boolean {
  if (head.status !== Failures.connectFailure.http || !isIdempotent(ex.method)) return false;
  if (!retriesFailure(policy, Failures.connectFailure)) return false;
  const at = head.find(field);
  if (at === -1) return false;
  return equalsWord(head.bytes, head.valueStart[at]!, head.valueEnd[at]!, refused);
}
