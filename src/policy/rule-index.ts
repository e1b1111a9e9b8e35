/**
 * Which rules an exchange may match, found by their `attribute == literal` pairs.
 *
 *     read(slot) ──value──▶ rules that want this value ─┐
 *     read(slot) ──value──▶ rules that want this value ─┼─▶ merged, in the order of the rules
 *     the rest: rules without a pair worth a table ─────┘
 *
 * Each rule is in one place: the table of the attribute that tells most rules apart, or the rest.
 * An attribute that is absent tells nothing, so all of its table's rules are looked at: their
 * conditions may fail, which is not the same as being false.
 */
import type { AttributeBag } from "../attribute/bag.ts";
import { Fault } from "../attribute/fault.ts";
import type { Value, ValueType } from "../attribute/value.ts";
import type { Vocabulary } from "../attribute/vocabulary.ts";
import type { Expression } from "../expression/expression.ts";

/** A condition that has to hold if the rule is to match. */
export interface Pair {
  readonly slot: number;
  readonly value: Value;
}

interface Table {
  readonly slot: number;
  readonly byValue: ReadonlyMap<Value, Uint32Array>;
  readonly all: Uint32Array;
}

/** Each costs a read and a look-up. */
const TABLES_MAX = 4;
/** Rules that a table has to spare the usual exchange. */
const SPARED_MIN = 3;

/** Types whose values are the same if and only if `===` says so. */
const comparable: ReadonlySet<ValueType> = new Set([
  "STRING",
  "INT64",
  "DOUBLE",
  "BOOL",
  "DURATION",
]);

/** The pairs of a condition that a comparison decides. */
export function pairsOf(match: Expression | undefined, vocabulary: Vocabulary): readonly Pair[] {
  const pairs: Pair[] = [];
  for (const [name, { type, value }] of match?.pairs ?? []) {
    const attribute = vocabulary.find(name);
    if (attribute?.type === type && comparable.has(type))
      pairs.push({ slot: attribute.slot, value });
  }
  return pairs;
}

const none = new Uint32Array(0);

export class RuleIndex {
  readonly #tables: readonly Table[];
  readonly #rest: Uint32Array;
  readonly #merged: Uint32Array;
  readonly #lists: Uint32Array[] = [];
  readonly #cursors: Uint32Array;
  #selected: Uint32Array;
  #count = 0;

  /** By the position of the rule. */
  constructor(rules: readonly (readonly Pair[])[]) {
    const open = new Set(rules.keys());
    const tables: Table[] = [];
    while (tables.length < TABLES_MAX) {
      const slot = bestSlot(rules, open);
      if (slot === undefined) break;
      tables.push(tableOf(rules, open, slot));
    }
    this.#tables = tables;
    this.#rest = Uint32Array.from(open);
    this.#merged = new Uint32Array(rules.length);
    this.#cursors = new Uint32Array(TABLES_MAX + 1);
    this.#selected = this.#rest;
  }

  /** Slots that are read in any case. */
  get slots(): readonly number[] {
    return this.#tables.map(({ slot }) => slot);
  }

  /** How many rules may match; `at` tells which, until the next call. */
  select(bag: AttributeBag): number {
    const lists = this.#lists;
    if (lists.length > 0) lists.length = 0;
    if (this.#rest.length > 0) lists.push(this.#rest);
    for (const table of this.#tables) {
      const value = bag.read(table.slot);
      const list =
        value === undefined || value instanceof Fault
          ? table.all
          : (table.byValue.get(value) ?? none);
      if (list.length > 0) lists.push(list);
    }
    if (lists.length > 1) return this.#merge(lists);
    this.#selected = lists[0] ?? none;
    this.#count = this.#selected.length;
    return this.#count;
  }

  /** The position of the nth rule selected; they rise. */
  at(nth: number): number {
    return this.#selected[nth]!;
  }

  #merge(lists: readonly Uint32Array[]): number {
    const merged = this.#merged;
    const cursors = this.#cursors.fill(0);
    let count = 0;
    for (;;) {
      let from = -1;
      let least = 0;
      for (let i = 0; i < lists.length; i++) {
        const next = lists[i]![cursors[i]!];
        if (next === undefined || (from !== -1 && next > least)) continue;
        from = i;
        least = next;
      }
      if (from === -1) break;
      cursors[from]!++;
      merged[count++] = least;
    }
    this.#selected = merged;
    this.#count = count;
    return count;
  }
}

/** Of the attributes that rules still without a table have, the one that spares most of them. */
function bestSlot(
  rules: readonly (readonly Pair[])[],
  open: ReadonlySet<number>,
): number | undefined {
  const bySlot = new Map<number, Map<Value, number>>();
  for (const i of open)
    for (const { slot, value } of rules[i]!) {
      const counts = bySlot.get(slot) ?? new Map<Value, number>();
      bySlot.set(slot, counts.set(value, (counts.get(value) ?? 0) + 1));
    }
  let best: number | undefined;
  let mostSpared = SPARED_MIN - 1;
  for (const [slot, counts] of bySlot) {
    const sizes = [...counts.values()];
    const total = sizes.reduce((sum, size) => sum + size, 0);
    // As if the largest group were what the usual exchange asks for.
    const spared = counts.size === 1 ? total / 2 : total - Math.max(...sizes);
    if (spared <= mostSpared) continue;
    mostSpared = spared;
    best = slot;
  }
  return best;
}

/** Takes its rules out of `open`. */
function tableOf(rules: readonly (readonly Pair[])[], open: Set<number>, slot: number): Table {
  const byValue = new Map<Value, number[]>();
  const all: number[] = [];
  for (const i of open) {
    const pair = rules[i]!.find((one) => one.slot === slot);
    if (pair === undefined) continue;
    const list = byValue.get(pair.value) ?? [];
    list.push(i);
    byValue.set(pair.value, list);
    all.push(i);
  }
  for (const i of all) open.delete(i);
  return {
    slot,
    byValue: new Map(Array.from(byValue, ([value, list]) => [value, Uint32Array.from(list)])),
    all: Uint32Array.from(all),
  };
}
