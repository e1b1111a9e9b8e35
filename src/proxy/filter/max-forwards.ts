/**
 * Max-Forwards of OPTIONS and TRACE (RFC 9110 7.6.2): how many more hops may pass the request on.
 * With none left we are the one who is asked.
 */
import { FieldId } from "../../http/field-id.ts";
import type { MessageHead } from "../../http/message-head.ts";
import { MethodId } from "../../http/method.ts";

const DIGITS_MAX = 9;

/** The hops left; -1: the request does not say, or not in a way that we need to obey. */
export function hopsLeft(head: MessageHead): number {
  if (head.method !== MethodId.options && head.method !== MethodId.trace) return -1;
  const field = head.firstOf[FieldId.maxForwards]!;
  if (field === -1) return -1;
  const text = head.valueText(field);
  return /^\d+$/.test(text) && text.length <= DIGITS_MAX ? Number(text) : -1;
}

/** The line that takes the place of the received one. */
export function oneHopLess(hops: number): Uint8Array {
  return Buffer.from(`max-forwards: ${hops - 1}\r\n`, "latin1");
}
