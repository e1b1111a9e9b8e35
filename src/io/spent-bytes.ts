/**
 * Memory of received bytes that nobody needs any more. A receive is up to 512 KiB, and the
 * collector hears of it late; so large ones are freed at once, by detaching their buffer.
 */
const LARGE_BYTES = 12 * 1024;

/** Nobody may look at `bytes` any more. */
export function freeSpent(bytes: Uint8Array): void {
  if (bytes.length < LARGE_BYTES) return;
  const { buffer } = bytes;
  if (buffer instanceof ArrayBuffer && buffer.byteLength === bytes.length) buffer.transfer(0);
}
