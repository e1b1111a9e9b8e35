/**
 * Which virtual host serves an authority: exact names before the longest suffix before "*".
 *
 * Hash tables over folded bytes. The hash runs from the end, so that one pass over an authority
 * yields the hash of every suffix. An authority without port means the default port: with one other
 * than 80, "host:port" is asked before "host"; "host:80" is also asked as "host".
 */
import { encode, fold, HASH_START, hashEnd, hashStep } from "./byte-range.ts";
import { ByteTable } from "./byte-table.ts";

export interface HostEntry<T> {
  /** "reviews", "reviews:9080", "*.example.com", "*-x.example.com", "*" */
  readonly domain: string;
  readonly value: T;
}

/** A host name has 255 octets at most; what is longer is served by "*" alone. */
const AUTHORITY_BYTES_MAX = 320;
const COLON = 0x3a;
const STAR = "*";
const HTTP_PORT = 80;

export class HostTable<T> {
  readonly #exact = new ByteTable();
  readonly #exactValues: T[] = [];
  readonly #suffix = new ByteTable();
  readonly #suffixValues: T[] = [];
  /** Length → 1 where some suffix has it. */
  readonly #suffixLengths = new Uint8Array(AUTHORITY_BYTES_MAX + 1);
  readonly #any: T | undefined;
  /** The authority looked for, folded, with a port where it is asked with one. */
  readonly #asked = new Uint8Array(AUTHORITY_BYTES_MAX + 8);

  /** Domains are in lower case, appear once, and have 300 octets at most. */
  constructor(entries: readonly HostEntry<T>[]) {
    for (const { domain, value } of entries) {
      if (domain === STAR) this.#any = value;
      else if (domain.startsWith(STAR)) this.#insertSuffix(encode(domain.slice(1)), value);
      else {
        const key = encode(domain);
        this.#exactValues[this.#exact.insert(hashOf(key, key.length), key)] = value;
      }
    }
  }

  find(bytes: Uint8Array, from: number, to: number, defaultPort: number): T | undefined {
    const length = to - from;
    if (length <= 0 || length > AUTHORITY_BYTES_MAX) return this.#any;
    const asked = this.#asked;
    let colon = -1;
    let port = 0;
    for (let i = 0; i < length; i++) {
      const octet = fold(bytes[from + i]!);
      asked[i] = octet;
      if (octet === COLON) {
        colon = i;
        port = 0;
      } else port = octet >= 0x30 && octet <= 0x39 ? port * 10 + octet - 0x30 : Number.NaN;
    }
    // The last colon of "[::1]" is not that of a port: "]" follows it.
    if (colon !== -1 && !Number.isNaN(port)) {
      return this.#findEither(length, port === HTTP_PORT ? colon : -1);
    }
    if (defaultPort === HTTP_PORT) return this.#findEither(length, -1);
    return this.#findEither(appendPort(asked, length, defaultPort), length);
  }

  /** By the first `length` octets asked, else by the first `other`; -1: there is no other. */
  #findEither(length: number, other: number): T | undefined {
    return (
      this.#findExact(length) ??
      this.#findExact(other) ??
      this.#findSuffix(length) ??
      this.#findSuffix(other) ??
      this.#any
    );
  }

  #findExact(length: number): T | undefined {
    if (length < 0) return undefined;
    const at = this.#exact.find(hashOf(this.#asked, length), this.#asked, 0, length);
    return at === -1 ? undefined : this.#exactValues[at];
  }

  /** The star stands for one octet at least. */
  #findSuffix(length: number): T | undefined {
    if (length < 0 || this.#suffix.size === 0) return undefined;
    let found: T | undefined;
    let hash = HASH_START;
    for (let from = length - 1; from > 0; from--) {
      hash = hashStep(hash, this.#asked[from]!);
      if (this.#suffixLengths[length - from] === 0) continue;
      const at = this.#suffix.find(hashEnd(hash), this.#asked, from, length - from);
      if (at !== -1) found = this.#suffixValues[at];
    }
    return found;
  }

  #insertSuffix(key: Uint8Array, value: T): void {
    this.#suffixValues[this.#suffix.insert(hashOf(key, key.length), key)] = value;
    this.#suffixLengths[key.length] = 1;
  }
}

function hashOf(bytes: Uint8Array, length: number): number {
  let hash = HASH_START;
  for (let i = length - 1; i >= 0; i--) hash = hashStep(hash, bytes[i]!);
  return hashEnd(hash);
}

/** Writes ":port" behind the first `length` octets; returns the new length. */
function appendPort(bytes: Uint8Array, length: number, port: number): number {
  let digits = 1;
  for (let rest = port; rest >= 10; rest = Math.floor(rest / 10)) digits++;
  bytes[length] = COLON;
  let rest = port;
  for (let at = length + digits; at > length; at--) {
    bytes[at] = 0x30 + (rest % 10);
    rest = Math.floor(rest / 10);
  }
  return length + 1 + digits;
}
