/** Octets of a head as the text that policy compares. */
import { textOfBytes } from "../../attribute/byte-text.ts";

/** A native call without a view: a third of what `Buffer.from(…).toString()` takes. */
const latin1: (this: Uint8Array, from: number, to: number) => string = (
  Buffer.prototype as unknown as { latin1Slice(this: Uint8Array, from: number, to: number): string }
).latin1Slice;

/** Of bytes[from, to). */
export function textOf(bytes: Uint8Array, from: number, to: number): string {
  for (let at = from; at < to; at++)
    if (bytes[at]! > 0x7f) return textOfBytes(bytes.subarray(from, to));
  return latin1.call(bytes, from, to);
}
