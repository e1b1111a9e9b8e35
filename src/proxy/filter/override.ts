/**
 * What a caller may say about its own request: x-envoy-upstream-rq-timeout-ms instead of the
 * route's timeout, x-envoy-max-retries instead of its retries, x-envoy-retry-grpc-on for codes of
 * gRPC besides the route's ("cancelled,unavailable"). Read here, and not passed on.
 */
import { FieldId } from "../../http/field-id.ts";
import type { MessageHead } from "../../http/message-head.ts";
import { RetryOn } from "../route/retry.ts";

const encoder = new TextEncoder();
const TIMEOUT = encoder.encode("x-envoy-upstream-rq-timeout-ms");
const RETRIES = encoder.encode("x-envoy-max-retries");
const GRPC_ON = encoder.encode("x-envoy-retry-grpc-on");
const names = [TIMEOUT, RETRIES, GRPC_ON];
const DIGITS_MAX = 9;
const conditions: ReadonlyMap<string, number> = new Map([
  ["cancelled", RetryOn.cancelled],
  ["deadline-exceeded", RetryOn.deadlineExceeded],
  ["internal", RetryOn.internal],
  ["resource-exhausted", RetryOn.resourceExhausted],
  ["unavailable", RetryOn.unavailable],
]);

/** Numbers are -1 where the request says nothing. */
export class Overrides {
  timeoutMs = -1;
  retries = -1;
  /** Sum of RetryOn. */
  grpcOn = 0;

  read(head: MessageHead): void {
    this.timeoutMs = -1;
    this.retries = -1;
    this.grpcOn = 0;
    const { fieldCount, fieldId, nameStart, nameEnd } = head;
    for (let i = 0; i < fieldCount; i++) {
      if (fieldId[i] !== FieldId.other) continue;
      const length = nameEnd[i]! - nameStart[i]!;
      if (length !== TIMEOUT.length && length !== RETRIES.length && length !== GRPC_ON.length)
        continue;
      if (head.find(TIMEOUT, i) === i) this.timeoutMs = take(head, i, this.timeoutMs);
      else if (head.find(RETRIES, i) === i) this.retries = take(head, i, this.retries);
      else if (head.find(GRPC_ON, i) === i) this.grpcOn |= takeConditions(head, i);
    }
  }
}

/** For a head that is scanned once more: they were read, and are still not passed on. */
export function dropOverrides(head: MessageHead): void {
  for (let i = 0; i < names.length; i++) {
    const name = names[i]!;
    for (let at = head.find(name); at !== -1; at = head.find(name, at + 1)) head.dropped[at] = 1;
  }
}

/** The conditions that the field names; words that are none mean nothing. */
function takeConditions(head: MessageHead, field: number): number {
  head.dropped[field] = 1;
  let on = 0;
  for (const word of head.valueText(field).split(",")) on |= conditions.get(word.trim()) ?? 0;
  return on;
}

/** The field's number, else what was there before; the field is dropped either way. */
function take(head: MessageHead, field: number, before: number): number {
  head.dropped[field] = 1;
  const from = head.valueStart[field]!;
  const to = head.valueEnd[field]!;
  if (from === to || to - from > DIGITS_MAX) return before;
  let value = 0;
  for (let at = from; at < to; at++) {
    const digit = head.bytes[at]! - 48;
    if (digit < 0 || digit > 9) return before;
    value = value * 10 + digit;
  }
  return value;
}
