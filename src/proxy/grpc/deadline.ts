/**
 * grpc-timeout: how long a call may still take (PROTOCOL-HTTP2.md, "Timeout"): 1 to 8 digits, not
 * all of them 0, and a unit H, M, S, m, u or n.
 */
import { FieldId } from "../../http/field-id.ts";
import type { MessageHead } from "../../http/message-head.ts";
import { encode } from "../route/byte-range.ts";

const DIGITS_MAX = 8;
const VALUE_MAX = 99_999_999;
const unitMs: ReadonlyMap<number, number> = new Map([
  [0x48, 3_600_000],
  [0x4d, 60_000],
  [0x53, 1_000],
  [0x6d, 1],
  [0x75, 1e-3],
  [0x6e, 1e-6],
]);
/** Units of what we write, the finest first. */
const written = [
  ["m", 1],
  ["S", 1_000],
  ["M", 60_000],
  ["H", 3_600_000],
] as const;

/**
 * Milliseconds, with a fraction; 0: it does not say, or nothing that can be understood, which is
 * then for the server to judge. Of several fields none is believed.
 */
export function grpcTimeoutMs(head: MessageHead): number {
  const field = head.firstOf[FieldId.grpcTimeout]!;
  if (field === -1 || head.nextOf(FieldId.grpcTimeout, field) !== -1) return 0;
  return parseTimeout(head.bytes, head.valueStart[field]!, head.valueEnd[field]!);
}

function parseTimeout(bytes: Uint8Array, from: number, to: number): number {
  const digits = to - from - 1;
  if (digits < 1 || digits > DIGITS_MAX) return 0;
  let value = 0;
  for (let at = from; at < to - 1; at++) {
    const digit = bytes[at]! - 0x30;
    if (digit < 0 || digit > 9) return 0;
    value = value * 10 + digit;
  }
  return value * (unitMs.get(bytes[to - 1]!) ?? 0);
}

/** The whole line for so many milliseconds, 1 at least: never more than that where it is more. */
export function timeoutLine(ms: number): Uint8Array {
  const whole = Math.max(1, Math.floor(ms));
  const [unit, size] = written.find((one) => whole / one[1] <= VALUE_MAX) ?? written[3];
  return encode(`grpc-timeout: ${Math.min(VALUE_MAX, Math.floor(whole / size))}${unit}\r\n`);
}
