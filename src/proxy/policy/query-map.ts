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
    for (const [name, value] of parameters(this.#query)) if (name === key) return value;
    return undefined;
  }

  *entries(): Iterable<readonly [key: string, value: string]> {
    const seen = new Set<string>();
    for (const parameter of parameters(this.#query)) {
      if (seen.has(parameter[0])) continue;
      seen.add(parameter[0]);
      yield parameter;
    }
  }
}

/** "a=1&b" is a: "1" and b: "". */
function* parameters(query: string): Iterable<readonly [name: string, value: string]> {
  for (let at = 0; at < query.length; ) {
    const ampersand = query.indexOf("&", at);
    const end = ampersand === -1 ? query.length : ampersand;
    const part = query.slice(at, end);
    const equals = part.indexOf("=");
    if (equals === -1 && part !== "") yield [part, ""];
    else if (equals > 0) yield [part.slice(0, equals), part.slice(equals + 1)];
    at = end + 1;
  }
}
