/**
 * Which virtual host serves an authority: exact names before the longest suffix before "*".
 *
 * Hash tables over folded bytes: one pass forward for exact names, and, where there are suffixes
 * at all, one from the end, which yields the hash of every suffix. An authority without port means
 * the default port: with one other than 80, "host:port" is asked before "host"; "host:80" is also
 * asked as "host". The dot that may end a full name is not part of it.
 */
import { encode, foldTable, HASH_START, hashEnd, hashOn, hashStep } from "./byte-range.ts";
import { ByteTable } from "./byte-table.ts";

export interface HostEntry<T> {
  /** "reviews", "reviews:9080", "*.example.com", "*-x.example.com", "*" */
  readonly domain: string;
  readonly value: T;
}

/** A host name has 255 octets at most; what is longer is served by "*" alone. */
const AUTHORITY_BYTES_MAX = 320;
const COLON = 0x3a;
const DOT = 0x2e;
const BRACKET_CLOSE = 0x5d;
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
        this.#exactValues[
          this.#exact.insert(hashEnd(hashOn(HASH_START, key, 0, key.length)), key)
        ] = value;
      }
    }
  }

  find(bytes: Uint8Array, from: number, to: number, defaultPort: number): T | undefined {
    const length = to - from;
    if (length <= 0 || length > AUTHORITY_BYTES_MAX) return this.#any;
    const asked = this.#asked;
    let hash = HASH_START;
    let colon = -1;
    for (let i = 0; i < length; i++) {
      const octet = foldTable[bytes[from + i]!]!;
      asked[i] = octet;
      if (octet === COLON) colon = i;
      hash = hashStep(hash, octet);
    }
    const named = colon !== -1 && asked[length - 1] !== BRACKET_CLOSE ? colon : length;
    if (asked[named - 1] === DOT && named > 1 && asked[named - 2] !== DOT) {
      asked.copyWithin(named - 1, named, length);
      return this.find(asked, 0, length - 1, defaultPort);
    }
    if (named < length) {
      const bare = isHttpPort(asked, named + 1, length) ? named : -1;
      return this.#findExact(hash, length) ?? this.#findOther(length, bare);
    }
    if (defaultPort === HTTP_PORT)
      return this.#findExact(hash, length) ?? this.#findOther(length, -1);
    const end = appendPort(asked, length, defaultPort);
    return this.#findExact(hashOn(hash, asked, length, end), end) ?? this.#findOther(end, length);
  }

  /** Not by the first `length` octets exactly: by `other` (-1: none), by suffix, by "*". */
  #findOther(length: number, other: number): T | undefined {
    if (other >= 0) {
      const found = this.#findExact(hashOn(HASH_START, this.#asked, 0, other), other);
      if (found !== undefined) return found;
    }
    if (this.#suffix.size === 0) return this.#any;
    return this.#findSuffix(length) ?? this.#findSuffix(other) ?? this.#any;
  }

  #findExact(hash: number, length: number): T | undefined {
    const at = this.#exact.find(hashEnd(hash), this.#asked, 0, length);
    return at === -1 ? undefined : this.#exactValues[at];
  }

  /** The star stands for one octet at least. */
  #findSuffix(length: number): T | undefined {
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
    let hash = HASH_START;
    for (let i = key.length - 1; i >= 0; i--) hash = hashStep(hash, key[i]!);
    this.#suffixValues[this.#suffix.insert(hashEnd(hash), key)] = value;
    this.#suffixLengths[key.length] = 1;
  }
}

function isHttpPort(bytes: Uint8Array, from: number, to: number): boolean {
  return to - from === 2 && bytes[from] === 0x38 && bytes[from + 1] === 0x30;
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
