/**
 * Rules in order, and which of them matches first. Those that say by one text what has to be so
 * (rule-key.ts) are found by it; the others are walked:
 *
 *   principal ─▶ exact ─▶ [rule 3, rule 17]      path ─▶ exact ─▶ [rule 5]
 *                                                     ├▶ prefixes, longest first ─▶ [rule 8, …]
 *                                                     └▶ suffixes, by length ─▶ [rule 2, …]
 *
 * Each list is in order, and is left as soon as it can bring nothing earlier than what was found.
 */
import type { AuthorizationFacts } from "./facts.ts";
import { type KeyAttribute, keyAttributes, keyReaders, type RuleKey } from "./rule-key.ts";

export interface SetRule {
  readonly matches: (facts: AuthorizationFacts) => boolean;
  readonly keys: readonly RuleKey[];
}

/** Fewer are walked as fast as they are looked up. */
const WALKED_MAX = 4;
const NONE = Number.MAX_SAFE_INTEGER;

type Positions = readonly number[];

interface AttributeIndex {
  readonly attribute: KeyAttribute;
  readonly read: (facts: AuthorizationFacts) => string;
  readonly exact: ReadonlyMap<string, Positions>;
  readonly prefixes: PrefixIndex | undefined;
  readonly suffixes: readonly SuffixesOfLength[];
}

interface SuffixesOfLength {
  readonly length: number;
  readonly lists: ReadonlyMap<string, Positions>;
}

export class RuleSet<Rule extends SetRule> {
  readonly rules: readonly Rule[];
  readonly #walked: Positions;
  readonly #indexes: readonly AttributeIndex[];

  constructor(rules: readonly Rule[]) {
    this.rules = rules;
    const chosen = rules.length <= WALKED_MAX ? rules.map(() => undefined) : chooseKeys(rules);
    this.#walked = chosen.flatMap((key, i) => (key === undefined ? [i] : []));
    this.#indexes = keyAttributes.flatMap((attribute) => indexOf(attribute, chosen));
  }

  get isEmpty(): boolean {
    return this.rules.length === 0;
  }

  /** The first that matches. */
  find(facts: AuthorizationFacts): Rule | undefined {
    let found = this.#search(this.#walked, facts, NONE);
    for (let i = 0; i < this.#indexes.length; i++) {
      const index = this.#indexes[i]!;
      const text = index.read(facts);
      found = this.#searchIndex(index, text, facts, found);
      // What a host begins with, host and port do too.
      if (index.attribute === "host" && facts.host !== text)
        found = this.#searchIndex(index, facts.host, facts, found);
    }
    return found === NONE ? undefined : this.rules[found];
  }

  #searchIndex(
    { exact, prefixes, suffixes }: AttributeIndex,
    text: string,
    facts: AuthorizationFacts,
    before: number,
  ): number {
    let found = this.#search(exact.get(text), facts, before);
    if (prefixes !== undefined)
      for (let at = prefixes.find(text); at !== -1; at = prefixes.shorter(at))
        found = this.#search(prefixes.positions(at), facts, found);
    for (let i = 0; i < suffixes.length; i++) {
      const { length, lists } = suffixes[i]!;
      if (length > text.length) break;
      found = this.#search(lists.get(text.slice(-length)), facts, found);
    }
    return found;
  }

  /** The first of `positions` whose rule matches and that is less than `before`; else that. */
  #search(positions: Positions | undefined, facts: AuthorizationFacts, before: number): number {
    if (positions === undefined) return before;
    for (let i = 0; i < positions.length; i++) {
      const position = positions[i]!;
      if (position >= before) return before;
      if (this.rules[position]!.matches(facts)) return position;
    }
    return before;
  }
}

/** For each rule the key that it shares with the fewest others; undefined: it has none. */
function chooseKeys(rules: readonly SetRule[]): (RuleKey | undefined)[] {
  const counts = new Map<string, number>();
  for (const { keys } of rules)
    for (const text of keys.flatMap(namesOf)) counts.set(text, (counts.get(text) ?? 0) + 1);
  const crowd = (key: RuleKey): number =>
    namesOf(key).reduce((most, text) => Math.max(most, counts.get(text)!), 0);
  const order = (key: RuleKey): number => keyAttributes.indexOf(key.attribute);
  return rules.map(
    ({ keys }) => [...keys].sort((a, b) => crowd(a) - crowd(b) || order(a) - order(b))[0],
  );
}

function namesOf({ attribute, exact, prefixes, suffixes }: RuleKey): readonly string[] {
  return [
    ...exact.map((text) => `${attribute}=${text}`),
    ...prefixes.map((text) => `${attribute}^${text}`),
    ...suffixes.map((text) => `${attribute}$${text}`),
  ];
}

function indexOf(
  attribute: KeyAttribute,
  chosen: readonly (RuleKey | undefined)[],
): readonly AttributeIndex[] {
  const exact = new Map<string, number[]>();
  const prefixes = new Map<string, number[]>();
  const suffixes = new Map<string, number[]>();
  for (const [position, key] of chosen.entries()) {
    if (key?.attribute !== attribute) continue;
    for (const text of key.exact) add(exact, text, position);
    for (const text of key.prefixes) add(prefixes, text, position);
    for (const text of key.suffixes) add(suffixes, text, position);
  }
  if (exact.size + prefixes.size + suffixes.size === 0) return [];
  const read = keyReaders[attribute];
  const index = prefixes.size === 0 ? undefined : new PrefixIndex(prefixes);
  return [{ attribute, read, exact, prefixes: index, suffixes: byLength(suffixes) }];
}

/** The shortest first. */
function byLength(suffixes: ReadonlyMap<string, Positions>): readonly SuffixesOfLength[] {
  const lengths = new Map<number, Map<string, Positions>>();
  for (const [text, positions] of suffixes) {
    const lists = lengths.get(text.length) ?? new Map<string, Positions>();
    lengths.set(text.length, lists.set(text, positions));
  }
  return [...lengths].sort(([a], [b]) => a - b).map(([length, lists]) => ({ length, lists }));
}

function add(lists: Map<string, number[]>, text: string, position: number): void {
  const list = lists.get(text);
  if (list === undefined) lists.set(text, [position]);
  else list.push(position);
}

/**
 * Which of many texts another one begins with. They are sorted; what a text begins with is the
 * last one that is not after it, or one of those that this one begins with in turn.
 */
class PrefixIndex {
  readonly #texts: readonly string[];
  readonly #positions: readonly Positions[];
  /** Of the longest other one that it begins with; −1: there is none. */
  readonly #shorter: readonly number[];

  constructor(lists: ReadonlyMap<string, Positions>) {
    const entries = [...lists].sort(([a], [b]) => (a < b ? -1 : 1));
    this.#texts = entries.map(([text]) => text);
    this.#positions = entries.map(([, positions]) => positions);
    const shorter: number[] = [];
    for (const [i, text] of this.#texts.entries()) {
      let at = i - 1;
      while (at !== -1 && !text.startsWith(this.#texts[at]!)) at = shorter[at]!;
      shorter.push(at);
    }
    this.#shorter = shorter;
  }

  /** The longest that `text` begins with; −1: there is none. */
  find(text: string): number {
    const texts = this.#texts;
    let low = 0;
    let high = texts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (texts[middle]! <= text) low = middle + 1;
      else high = middle;
    }
    let at = low - 1;
    while (at !== -1 && !text.startsWith(texts[at]!)) at = this.#shorter[at]!;
    return at;
  }

  shorter(at: number): number {
    return this.#shorter[at]!;
  }

  positions(at: number): Positions {
    return this.#positions[at]!;
  }
}
