/** Rules of a scope that are asked the same question, in order, with their index. */
import type { AttributeBag } from "../attribute/bag.ts";
import type { CompiledRule } from "./compiled-rule.ts";
import { RuleIndex } from "./rule-index.ts";

export class RuleSet {
  readonly rules: readonly CompiledRule[];
  readonly #index: RuleIndex;

  constructor(rules: readonly CompiledRule[]) {
    this.rules = rules;
    this.#index = new RuleIndex(rules.map(({ pairs }) => pairs));
  }

  get isEmpty(): boolean {
    return this.rules.length === 0;
  }

  /** How many may match; `at` tells which, until the next call. */
  select(bag: AttributeBag): number {
    return this.#index.select(bag);
  }

  at(nth: number): CompiledRule {
    return this.rules[this.#index.at(nth)]!;
  }
}
