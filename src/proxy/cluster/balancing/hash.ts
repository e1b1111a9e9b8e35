/** 32-bit hashes for balancing: FNV-1a over bytes, and a mixer that spreads it over all bits. */
import { HASH_START, hashOn, hashStep } from "../../route/byte-range.ts";

/** MurmurHash3's finalizer: every bit of the input changes half of the bits of the result. */
export function mix(hash: number): number {
  let h = hash ^ (hash >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Of bytes[from, to): 0 to 2^32 - 1. */
export function hashBytes(bytes: Uint8Array, from: number, to: number): number {
  return mix(hashOn(HASH_START, bytes, from, to));
}

/** Of a text in ASCII; as hashBytes of its octets. */
export function hashText(text: string): number {
  let hash = HASH_START;
  for (let i = 0; i < text.length; i++) hash = hashStep(hash, text.charCodeAt(i));
  return mix(hash);
}

/** A further hash of the same thing: `salt` tells it apart. */
export function rehash(hash: number, salt: number): number {
  return mix(hash ^ mix(salt + 0x9e3779b9));
}
