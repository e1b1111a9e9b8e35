/**
 * Finds the first of many routes that matches. Those that ask for an exact path or a prefix are in
 * hash tables over path bytes, so that ten thousand cost as much as ten: one pass over the path
 * yields the hash of every prefix, and lengths that no route has are not looked up. Routes that ask
 * otherwise (regular expressions, any path) remain a list. Within each list the first that holds
 * wins; among the lists the one that comes first in the order of routes.
 */
import type { MessageHead } from "../../http1/message-head.ts";
import { encode, HASH_START, hashEnd, hashStep } from "./byte-range.ts";
import { ByteTable } from "./byte-table.ts";
import type { Route } from "./route.ts";
import type { RouteCondition } from "./route-condition.ts";

/** Up to this many are tried one by one. */
const LINEAR_MAX = 4;
const SLASH = 0x2f;
/** The path of a target that has none: "http://host". */
const root = encode("/");
/** Longer prefixes are not indexed. */
const KEY_BYTES_MAX = 1_024;

class PathTable {
  readonly #table = new ByteTable();
  readonly #lists: number[][] = [];
  readonly lengths = new Uint8Array(KEY_BYTES_MAX + 1);
  longest = -1;

  add(key: Uint8Array, route: number): void {
    const at = this.#table.insert(hashOf(key), key);
    const list = this.#lists[at];
    if (list === undefined) this.#lists[at] = [route];
    else list.push(route);
    this.lengths[key.length] = 1;
    this.longest = Math.max(this.longest, key.length);
  }

  find(hash: number, bytes: Uint8Array, from: number, length: number): readonly number[] {
    const at = this.#table.find(hashEnd(hash), bytes, from, length);
    return at === -1 ? none : this.#lists[at]!;
  }
}

const none: readonly number[] = [];

export class RouteIndex {
  readonly routes: readonly Route[];
  readonly #conditions: readonly RouteCondition[];
  readonly #linear: boolean;
  readonly #exact = new PathTable();
  readonly #prefix = new PathTable();
  readonly #segment = new PathTable();
  readonly #rest: number[] = [];
  readonly #longestPrefix: number;

  /** `conditions[i]` decides for `routes[i]`. */
  constructor(
    routes: readonly Route[],
    conditions: readonly RouteCondition[],
    linearMax = LINEAR_MAX,
  ) {
    this.routes = routes;
    this.#conditions = conditions;
    this.#linear = routes.length <= linearMax;
    if (!this.#linear) for (let i = 0; i < routes.length; i++) this.#add(i, conditions[i]!);
    this.#longestPrefix = Math.max(this.#prefix.longest, this.#segment.longest);
  }

  match(head: MessageHead, secure: boolean): Route | undefined {
    if (head.pathEnd > head.pathStart) return this.#find(head, secure, head.bytes, head.pathStart);
    return this.#find(head, secure, root, 0);
  }

  #add(route: number, { path }: RouteCondition): void {
    if (path === undefined || path.ignoresCase || path.key.length > KEY_BYTES_MAX)
      this.#rest.push(route);
    else if (path.kind === "exact") this.#exact.add(path.key, route);
    else if (path.kind === "prefix") this.#prefix.add(path.key, route);
    else if (path.kind === "segment-prefix") this.#segment.add(path.key, route);
    else this.#rest.push(route);
  }

  /** The path begins at `from` of `bytes`. */
  #find(head: MessageHead, secure: boolean, bytes: Uint8Array, from: number): Route | undefined {
    const length = bytes === root ? 1 : head.pathEnd - from;
    if (this.#linear) return this.#findLinear(head, secure, bytes, from);
    let best = this.routes.length;
    let hash = HASH_START;
    const end = Math.min(length, this.#longestPrefix);
    for (let at = 0; at <= end; at++) {
      if (this.#prefix.lengths[at] === 1)
        best = this.#first(this.#prefix.find(hash, bytes, from, at), best, head, secure);
      if (this.#segment.lengths[at] === 1 && (at === length || bytes[from + at] === SLASH))
        best = this.#first(this.#segment.find(hash, bytes, from, at), best, head, secure);
      if (at < end) hash = hashStep(hash, bytes[from + at]!);
    }
    if (length <= this.#exact.longest && this.#exact.lengths[length] === 1) {
      for (let at = Math.max(0, end); at < length; at++) hash = hashStep(hash, bytes[from + at]!);
      best = this.#first(this.#exact.find(hash, bytes, from, length), best, head, secure);
    }
    best = this.#firstOfRest(best, head, secure, from);
    return this.routes[best];
  }

  #findLinear(
    head: MessageHead,
    secure: boolean,
    bytes: Uint8Array,
    from: number,
  ): Route | undefined {
    const to = bytes === root ? 1 : head.pathEnd;
    for (let i = 0; i < this.#conditions.length; i++) {
      const condition = this.#conditions[i]!;
      if (condition.pathHolds(bytes, from, to) && condition.restHolds(head, secure))
        return this.routes[i];
    }
    return undefined;
  }

  /** The first of `list` before `best` whose other conditions hold, else `best`. */
  #first(list: readonly number[], best: number, head: MessageHead, secure: boolean): number {
    for (let i = 0; i < list.length; i++) {
      const route = list[i]!;
      if (route >= best) return best;
      if (this.#conditions[route]!.restHolds(head, secure)) return route;
    }
    return best;
  }

  #firstOfRest(best: number, head: MessageHead, secure: boolean, from: number): number {
    const empty = head.pathEnd <= head.pathStart;
    const bytes = empty ? root : head.bytes;
    const to = empty ? 1 : head.pathEnd;
    for (let i = 0; i < this.#rest.length; i++) {
      const route = this.#rest[i]!;
      if (route >= best) return best;
      const condition = this.#conditions[route]!;
      if (condition.restHolds(head, secure) && condition.pathHolds(bytes, from, to)) return route;
    }
    return best;
  }
}

function hashOf(key: Uint8Array): number {
  let hash = HASH_START;
  for (let i = 0; i < key.length; i++) hash = hashStep(hash, key[i]!);
  return hashEnd(hash);
}
