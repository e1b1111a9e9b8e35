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

/** Two declarations of one name that do not agree. */
export interface VocabularyConflict {
  readonly name: string;
  readonly first: ValueType;
  readonly second: ValueType;
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

/** Several manifests as one; a name's first declaration counts, a different later one is told. */
export function mergeManifests(
  manifests: Iterable<Iterable<readonly [name: string, type: ValueType]>>,
): { readonly vocabulary: Vocabulary; readonly conflicts: readonly VocabularyConflict[] } {
  const merged = new Map<string, ValueType>();
  const conflicts: VocabularyConflict[] = [];
  for (const manifest of manifests)
    for (const [name, type] of manifest) {
      const first = merged.get(name);
      if (first === undefined) merged.set(name, type);
      else if (first !== type) conflicts.push({ name, first, second: type });
    }
  return { vocabulary: new Vocabulary(merged), conflicts };
}
