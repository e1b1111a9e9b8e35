/**
 * Finds the first of many routes that matches. Those that ask for an exact path or a prefix are in
 * hash tables over path bytes, so that ten thousand cost as much as ten; routes that ask otherwise
 * (regular expressions, any path) remain a list. Within each list the first that holds wins, and
 * among the lists the one that comes first in the order of routes.
 */
import type { MessageHead } from "../../http/message-head.ts";
import { encode, HASH_START, hashOn } from "./byte-range.ts";
import { PathTable } from "./path-table.ts";
import type { Route } from "./route.ts";
import type { RouteCondition } from "./route-condition.ts";
import type { StringMatcher } from "./string-matcher.ts";

/** Up to this many are tried one by one. */
const LINEAR_MAX = 4;
/** Longer keys are not in a table. */
const KEY_BYTES_MAX = 1_024;
const SLASH = 0x2f;
/** The path of a target that has none: "http://host". */
const root = encode("/");

export class RouteIndex {
  readonly routes: readonly Route[];
  readonly #conditions: readonly RouteCondition[];
  readonly #exact = new PathTable();
  readonly #prefix = new PathTable();
  readonly #segment = new PathTable();
  /** The others; all of them where there are few. */
  readonly #rest: number[] = [];

  /** `conditions[i]` decides for `routes[i]`. */
  constructor(
    routes: readonly Route[],
    conditions: readonly RouteCondition[],
    linearMax = LINEAR_MAX,
  ) {
    this.routes = routes;
    this.#conditions = conditions;
    for (let i = 0; i < routes.length; i++) {
      const { path } = conditions[i]!;
      const table = routes.length <= linearMax ? undefined : this.#tableFor(path);
      if (table === undefined || path === undefined) this.#rest.push(i);
      else table.add(path.key, i);
    }
  }

  /** `secure`: the request came with https. */
  match(head: MessageHead, secure: boolean): Route | undefined {
    let best = this.routes.length;
    if (this.#prefix.size > 0) best = this.#firstOfPrefixes(this.#prefix, best, head, secure);
    if (this.#segment.size > 0) best = this.#firstOfPrefixes(this.#segment, best, head, secure);
    if (this.#exact.size > 0) best = this.#firstOfExact(best, head, secure);
    if (this.#rest.length > 0) best = this.#firstOfRest(best, head, secure);
    return this.routes[best];
  }

  #tableFor(path: StringMatcher | undefined): PathTable | undefined {
    if (path === undefined || path.ignoresCase || path.key.length > KEY_BYTES_MAX) return undefined;
    switch (path.kind) {
      case "exact":
        return this.#exact;
      case "prefix":
        return this.#prefix;
      case "segment-prefix":
        return this.#segment;
      default:
        return undefined;
    }
  }

  #firstOfPrefixes(table: PathTable, best: number, head: MessageHead, secure: boolean): number {
    const bytes = pathBytes(head);
    const from = pathFrom(head);
    const length = pathLength(head);
    const segment = table === this.#segment;
    let first = best;
    let hash = HASH_START;
    let hashed = 0;
    for (let i = 0; i < table.lengths.length; i++) {
      const keyLength = table.lengths[i]!;
      if (keyLength > length) break;
      hash = hashOn(hash, bytes, from + hashed, from + keyLength);
      hashed = keyLength;
      if (segment && keyLength < length && bytes[from + keyLength] !== SLASH) continue;
      first = this.#first(table.find(hash, bytes, from, keyLength), first, head, secure);
    }
    return first;
  }

  #firstOfExact(best: number, head: MessageHead, secure: boolean): number {
    const length = pathLength(head);
    if (!this.#exact.lengths.includes(length)) return best;
    const bytes = pathBytes(head);
    const from = pathFrom(head);
    const hash = hashOn(HASH_START, bytes, from, from + length);
    return this.#first(this.#exact.find(hash, bytes, from, length), best, head, secure);
  }

  /** The first of `list` before `best` whose conditions other than the path hold, else `best`. */
  #first(list: readonly number[], best: number, head: MessageHead, secure: boolean): number {
    for (let i = 0; i < list.length; i++) {
      const route = list[i]!;
      if (route >= best) return best;
      if (this.#conditions[route]!.restHolds(head, secure)) return route;
    }
    return best;
  }

  /** Those whose path is compared one by one; last, since it may be with a regular expression. */
  #firstOfRest(best: number, head: MessageHead, secure: boolean): number {
    const bytes = pathBytes(head);
    const from = pathFrom(head);
    const to = from + pathLength(head);
    for (let i = 0; i < this.#rest.length; i++) {
      const route = this.#rest[i]!;
      if (route >= best) return best;
      const condition = this.#conditions[route]!;
      if (condition.restHolds(head, secure) && condition.pathHolds(bytes, from, to)) return route;
    }
    return best;
  }
}

function pathBytes(head: MessageHead): Uint8Array {
  return head.pathEnd > head.pathStart ? head.bytes : root;
}

function pathFrom(head: MessageHead): number {
  return head.pathEnd > head.pathStart ? head.pathStart : 0;
}

function pathLength(head: MessageHead): number {
  return head.pathEnd > head.pathStart ? head.pathEnd - head.pathStart : root.length;
}
