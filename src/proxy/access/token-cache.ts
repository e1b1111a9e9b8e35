/**
 * Tokens that were verified, so that each is verified once. Found by the end of the signature,
 * which its issuer alone can make, and then compared octet by octet: what is found is what was
 * verified. Only good tokens come in, so nobody can fill it with what he makes up.
 */
import type { KeySet } from "../../policy/jwt/key-set.ts";
import { LruMap } from "../mixer-client/lru-map.ts";

export interface CachedToken<Value> {
  readonly octets: Uint8Array;
  /** What it was verified with, and where those come from: others make it void. */
  readonly keys: KeySet;
  readonly source: { readonly keys: KeySet | undefined };
  /** Since 1970: from then on it is void. */
  readonly untilMs: number;
  readonly value: Value;
}

export const CACHE_LIMITS = { entries: 1_000, bytes: 1024 * 1024 };
/** Characters of the signature: 144 bits. */
const TAIL = 24;

interface NativeBuffer {
  latin1Slice(this: Uint8Array, from: number, to: number): string;
  compare(
    this: Uint8Array,
    target: Uint8Array,
    ...ranges: readonly [from: number, to: number, ownFrom: number, ownTo: number]
  ): number;
}
/** Native calls without a view of the bytes. */
const { latin1Slice, compare } = Buffer.prototype as unknown as NativeBuffer;

export class TokenCache<Value> {
  readonly #tokens = new LruMap<CachedToken<Value>>(CACHE_LIMITS.entries, CACHE_LIMITS.bytes);

  get size(): number {
    return this.#tokens.size;
  }

  /** The token at bytes[from, to); undefined: it has to be verified. */
  find(bytes: Uint8Array, from: number, to: number, wallMs: number): Value | undefined {
    const tail = latin1Slice.call(bytes, Math.max(from, to - TAIL), to);
    const token = this.#tokens.get(tail);
    if (token === undefined) return undefined;
    const { octets } = token;
    if (octets.length !== to - from) return undefined;
    if (compare.call(bytes, octets, 0, octets.length, from, to) !== 0) return undefined;
    if (wallMs < token.untilMs && token.source.keys === token.keys) return token.value;
    this.#tokens.delete(tail);
    return undefined;
  }

  keep(token: CachedToken<Value>): void {
    const { octets } = token;
    const tail = latin1Slice.call(octets, Math.max(0, octets.length - TAIL), octets.length);
    this.#tokens.set(tail, token, octets.length);
  }
}
