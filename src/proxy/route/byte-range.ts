/**
 * Comparing and hashing ranges of received bytes in place. "Folded" means that ASCII letters count
 * as lower case, as host and field names do; what they are compared with is stored folded.
 */

const A = 0x41;
const Z = 0x5a;

/** One octet, folded. */
export function fold(octet: number): number {
  return octet >= A && octet <= Z ? octet | 0x20 : octet;
}

/** Octet → the octet, folded. */
export const foldTable: Uint8Array = Uint8Array.from({ length: 256 }, (_, octet) => fold(octet));

/** Whether bytes[from, from + key.length) is `key`; the caller has checked that it is inside. */
export function startsWith(bytes: Uint8Array, from: number, key: Uint8Array): boolean {
  for (let i = 0; i < key.length; i++) if (bytes[from + i] !== key[i]) return false;
  return true;
}

/** The same, with the range folded; `key` is folded already. */
export function startsWithFolded(bytes: Uint8Array, from: number, key: Uint8Array): boolean {
  for (let i = 0; i < key.length; i++) if (fold(bytes[from + i]!) !== key[i]) return false;
  return true;
}

export const HASH_START = 0x811c9dc5;

/** FNV-1a, one step. */
export function hashStep(hash: number, octet: number): number {
  return Math.imul(hash ^ octet, 0x01000193);
}

/** The running hash after bytes[from, to). */
export function hashOn(hash: number, bytes: Uint8Array, from: number, to: number): number {
  let running = hash;
  for (let at = from; at < to; at++) running = hashStep(running, bytes[at]!);
  return running;
}

/** Spreads a hash over the low bits, for a table whose size is a power of two. */
export function hashEnd(hash: number): number {
  const mixed = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return (mixed ^ (mixed >>> 13)) >>> 0;
}

const encoder = new TextEncoder();

export function encode(text: string): Uint8Array {
  return encoder.encode(text);
}

/** For regular expressions only: everything else is compared as bytes. */
export function decode(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString("utf8");
}
