/**
 * The endpoints of a cluster without a list: each request's authority is one. They are kept, for
 * their connections, in a hash table over the folded bytes of the authority, of bounded size; when
 * it is full one that is idle makes room.
 */
import {
  decode,
  encode,
  fold,
  HASH_START,
  hashEnd,
  hashStep,
  startsWithFolded,
} from "../route/byte-range.ts";
import { Endpoint } from "./endpoint.ts";
import type { RequestStats } from "./request-stats.ts";

const ENTRIES_MAX = 1_024;
const BUCKETS = 2_048;

interface Entry {
  /** Folded. */
  readonly key: Uint8Array;
  readonly defaultPort: number;
  readonly bucket: number;
  readonly endpoint: Endpoint;
}

export class OriginalDestinations {
  readonly #statsOf: (version: string) => RequestStats;
  /** Made at the first use: nearly all clusters have a list of endpoints instead. */
  #buckets: Entry[][] = [];
  /** In the order of a clock hand that looks for an idle one. */
  readonly #entries: Entry[] = [];
  #hand = 0;

  constructor(statsOf: (version: string) => RequestStats) {
    this.#statsOf = statsOf;
  }

  get endpoints(): readonly Endpoint[] {
    return this.#entries.map(({ endpoint }) => endpoint);
  }

  find(bytes: Uint8Array, from: number, to: number, defaultPort: number): Endpoint | undefined {
    let hash = HASH_START;
    for (let i = from; i < to; i++) hash = hashStep(hash, fold(bytes[i]!));
    const bucket = hashEnd(hash) & (BUCKETS - 1);
    if (this.#buckets.length === 0) this.#buckets = Array.from({ length: BUCKETS }, () => []);
    const entries = this.#buckets[bucket]!;
    for (let i = 0; i < entries.length; i++) {
      const { key, defaultPort: port, endpoint } = entries[i]!;
      if (key.length !== to - from || port !== defaultPort) continue;
      if (startsWithFolded(bytes, from, key)) return endpoint;
    }
    return this.#make(decode(bytes, from, to).toLowerCase(), defaultPort, bucket);
  }

  close(): void {
    for (const entry of this.#entries.splice(0)) this.#forget(entry);
  }

  #make(authority: string, defaultPort: number, bucket: number): Endpoint | undefined {
    const at = splitAuthority(authority, defaultPort);
    if (at === undefined) return undefined;
    const facts = { labels: {}, workload: "", locality: "", meshTransport: false, identity: "" };
    const endpoint = new Endpoint(at, facts, this.#statsOf(""));
    const entry = { key: encode(authority), defaultPort, bucket, endpoint };
    if (this.#entries.length < ENTRIES_MAX) this.#entries.push(entry);
    else if (!this.#replaceIdle(entry)) return undefined;
    this.#buckets[bucket]!.push(entry);
    return endpoint;
  }

  #replaceIdle(entry: Entry): boolean {
    for (let i = 0; i < ENTRIES_MAX; i++) {
      const at = this.#hand;
      this.#hand = (this.#hand + 1) % ENTRIES_MAX;
      const idle = this.#entries[at]!;
      if (idle.endpoint.active > 0) continue;
      this.#entries[at] = entry;
      this.#forget(idle);
      return true;
    }
    return false;
  }

  #forget(entry: Entry): void {
    const entries = this.#buckets[entry.bucket]!;
    entries.splice(entries.indexOf(entry), 1);
    entry.endpoint.remove();
  }
}

/** "host", "host:port", "[::1]:port"; undefined if it is none of them. */
export function splitAuthority(
  authority: string,
  defaultPort: number,
): { readonly address: string; readonly port: number } | undefined {
  const parts = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]@/\s]+))(?::(\d{1,5}))?$/.exec(authority);
  if (parts === null) return undefined;
  const port = parts[3] === undefined ? defaultPort : Number(parts[3]);
  const address = parts[1] ?? parts[2] ?? "";
  return port >= 1 && port <= 65_535 ? { address, port } : undefined;
}
