/**
 * What generators find out about an exchange before its other rules are asked: laid over the
 * exchange's own attributes, and never in place of them. Spec: mixer 3.2.
 *
 * A generator that fails leaves its attributes absent, and the fail policy judges: a check denies
 * if it says closed, since rules that have a default for such an attribute would not notice.
 */
import type { AttributeBag } from "../attribute/bag.ts";
import { Fault } from "../attribute/fault.ts";
import type { Vocabulary } from "../attribute/vocabulary.ts";
import type { Clock } from "../core/clock.ts";
import { type Ask, type CompiledRule, holds, instanceOf } from "./compiled-rule.ts";
import { OverlayBag } from "./overlay-bag.ts";
import type { GenerateResult } from "./result.ts";
import type { RuleSet } from "./rule-set.ts";
import type { RuleStatistics } from "./rule-statistics.ts";
import { StatusCode } from "./status-code.ts";
import type { VerdictBuilder } from "./verdict-builder.ts";

interface Surroundings {
  readonly vocabulary: Vocabulary;
  readonly statistics: RuleStatistics;
  readonly clock: Clock;
}

interface Pending {
  readonly rule: CompiledRule;
  readonly ask: Ask;
  readonly answer: Promise<{ readonly result: GenerateResult; readonly isLate: boolean }>;
}

export class AttributeGeneration {
  readonly #rules: RuleSet;
  readonly #surroundings: Surroundings;
  readonly #overlay: OverlayBag;

  constructor(rules: RuleSet, surroundings: Surroundings) {
    this.#rules = rules;
    this.#surroundings = surroundings;
    this.#overlay = new OverlayBag(surroundings.vocabulary.size);
  }

  /** The bag to go on with, until the next call; faults go to `verdict`, if there is one. */
  inPlace(bag: AttributeBag, verdict: VerdictBuilder | undefined): AttributeBag {
    if (this.#rules.isEmpty) return bag;
    const overlay = this.#overlay;
    overlay.lay(bag);
    const count = this.#rules.select(bag);
    for (let i = 0; i < count; i++) {
      const rule = this.#rules.at(i);
      if (!this.#holds(rule, bag)) continue;
      for (const ask of rule.generators) {
        if (ask.handler.isRemote) {
          verdict?.leaveToMixer(ask.failPolicy);
          continue;
        }
        const instance = instanceOf(ask, bag);
        if (instance instanceof Fault) this.#unbuilt(rule, ask, instance, verdict);
        else this.#bind(rule, ask, ask.handler.generate(instance), { overlay, bag, verdict });
      }
    }
    return overlay;
  }

  /** The same, of all generators, wherever they run. */
  async later(bag: AttributeBag, verdict: VerdictBuilder | undefined): Promise<AttributeBag> {
    if (this.#rules.isEmpty) return bag;
    const { clock, vocabulary } = this.#surroundings;
    const pending: Pending[] = [];
    const count = this.#rules.select(bag);
    for (let i = 0; i < count; i++) {
      const rule = this.#rules.at(i);
      if (!this.#holds(rule, bag)) continue;
      for (const ask of rule.generators) {
        const instance = instanceOf(ask, bag);
        if (instance instanceof Fault) {
          this.#unbuilt(rule, ask, instance, verdict);
          continue;
        }
        const { handler, timeoutMs } = ask;
        pending.push({ rule, ask, answer: handler.generateLater(instance, { clock, timeoutMs }) });
      }
    }
    const overlay = new OverlayBag(vocabulary.size);
    overlay.lay(bag);
    for (const { rule, ask, answer } of pending) {
      const { result, isLate } = await answer;
      this.#bind(rule, ask, result, { overlay, bag, verdict, isLate });
    }
    return overlay;
  }

  #holds(rule: CompiledRule, bag: AttributeBag): boolean {
    const value = holds(rule, bag);
    if (typeof value === "boolean") return value;
    this.#surroundings.statistics.fault(rule.row, "match", value.message);
    return false;
  }

  #unbuilt(rule: CompiledRule, ask: Ask, fault: Fault, verdict: VerdictBuilder | undefined): void {
    if (verdict !== undefined) verdict.unbuilt(rule, ask, fault);
    else this.#surroundings.statistics.fault(rule.row, "instance", fault.message);
  }

  #bind(
    rule: CompiledRule,
    { handler, instance, failPolicy }: Ask,
    { output, fault: why }: GenerateResult,
    to: {
      readonly overlay: OverlayBag;
      readonly bag: AttributeBag;
      readonly verdict: VerdictBuilder | undefined;
      readonly isLate?: boolean;
    },
  ): void {
    const { overlay, bag, verdict, isLate = false } = to;
    if (why !== "") {
      const of = isLate ? "late" : "handler";
      const code = StatusCode.internal;
      if (verdict === undefined) this.#surroundings.statistics.fault(rule.row, of, why);
      else verdict.fault(rule, { of, who: handler.name, why, code, failPolicy });
      return;
    }
    for (const binding of instance.bindings) {
      if (overlay.read(binding.slot) !== undefined) continue;
      const value = binding.evaluate(output, bag);
      if (value instanceof Fault)
        this.#surroundings.statistics.fault(rule.row, "instance", value.message);
      else if (value !== undefined) overlay.set(binding.slot, value);
    }
  }
}
