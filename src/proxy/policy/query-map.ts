/** The parameters of a query as a string map, as they stand there; the first of a name counts. */
import type { StringMap } from "../../attribute/value.ts";

export class QueryMap implements StringMap {
  #query = "";

  /** Without the "?". */
  of(query: string): this {
    this.#query = query;
    return this;
  }

  get(key: string): string | undefined {
    for (const [name, value] of this.entries()) if (name === key) return value;
    return undefined;
  }

  *entries(): Iterable<readonly [key: string, value: string]> {
    const query = this.#query;
    for (let at = 0; at < query.length; ) {
      let end = query.indexOf("&", at);
      if (end === -1) end = query.length;
      const equals = query.indexOf("=", at);
      const nameEnd = equals === -1 || equals > end ? end : equals;
      if (nameEnd > at) yield [query.slice(at, nameEnd), query.slice(Math.min(nameEnd + 1, end), end)];
      at = end + 1;
    }
  }
}
