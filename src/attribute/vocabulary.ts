/**
 * The attributes that rules may speak of, each with its type and a slot: a small number that stands
 * for the name from the moment an expression is compiled. Names are looked up while rules are
 * compiled and while messages of other processes are decoded, never for an exchange of our own.
 */
import type { ValueType } from "./value.ts";

export interface Attribute {
  readonly name: string;
  readonly type: ValueType;
  /** Counts from 0, without gaps. */
  readonly slot: number;
}

export class Vocabulary {
  readonly #byName: ReadonlyMap<string, Attribute>;
  /** By slot. */
  readonly attributes: readonly Attribute[];

  constructor(declarations: Iterable<readonly [name: string, type: ValueType]>) {
    const byName = new Map<string, Attribute>();
    for (const [name, type] of declarations)
      if (!byName.has(name)) byName.set(name, Object.freeze({ name, type, slot: byName.size }));
    this.#byName = byName;
    this.attributes = Object.freeze([...byName.values()]);
  }

  find(name: string): Attribute | undefined {
    return this.#byName.get(name);
  }

  /** How many slots there are. */
  get size(): number {
    return this.attributes.length;
  }
}
