/**
 * May it? All rules that match, all of their checks; then, if nothing stands against it, what they
 * charge. Spec: mixer 1.3.
 *
 *   attributes ─▶ generators ─▶ rules that match ─▶ instances ─▶ handlers ─▶ verdict
 *                                                                              │ OK
 *                                     header operations stay ◀── charges taken ◀┘
 *
 * In place nothing is allocated for rules that do not match, and the verdict is the same object
 * each time. Charges are all or nothing over all quotas: what was taken is given back where another
 * has too little left.
 */
import type { AttributeBag } from "../attribute/bag.ts";
import { Fault } from "../attribute/fault.ts";
import type { Vocabulary } from "../attribute/vocabulary.ts";
import type { Clock } from "../core/clock.ts";
import type { AttributeGeneration } from "./attribute-generation.ts";
import { type Ask, type CompiledRule, holds, instanceOf } from "./compiled-rule.ts";
import { changeHeaders } from "./header-operation.ts";
import { isQuotaFault, retryAfterMsOf, type Timed } from "./open-handler.ts";
import { OverlayBag } from "./overlay-bag.ts";
import type { CheckResult, QuotaRequest, QuotaResult } from "./result.ts";
import type { RuleSet } from "./rule-set.ts";
import type { RuleStatistics } from "./rule-statistics.ts";
import { StatusCode } from "./status-code.ts";
import type { AnyInstance } from "./template.ts";
import type { AskOptions, Verdict } from "./verdict.ts";
import { VerdictBuilder } from "./verdict-builder.ts";

export interface CheckSurroundings {
  readonly vocabulary: Vocabulary;
  readonly statistics: RuleStatistics;
  readonly clock: Clock;
  readonly generation: AttributeGeneration;
}

/** What a rule is charged with, and what came of it. */
interface Charge {
  readonly rule: CompiledRule;
  readonly ask: Ask;
  readonly instance: AnyInstance;
  readonly result: QuotaResult;
  readonly isLate: boolean;
}

interface PendingCheck {
  readonly ask: Ask;
  readonly answer: Fault | Promise<Timed<CheckResult>>;
}

export class CheckQuestion {
  readonly #rules: RuleSet;
  readonly #surroundings: CheckSurroundings;
  readonly #verdict: VerdictBuilder;
  readonly #answers: OverlayBag;
  /** Rules that matched and charge; of the question being answered. */
  readonly #charging: CompiledRule[] = [];

  constructor(rules: RuleSet, surroundings: CheckSurroundings) {
    this.#rules = rules;
    this.#surroundings = surroundings;
    this.#verdict = new VerdictBuilder(surroundings.statistics);
    this.#answers = new OverlayBag(surroundings.vocabulary.size);
  }

  inPlace(bag: AttributeBag, nowMs: number): Verdict {
    const { generation, statistics } = this.#surroundings;
    const verdict = this.#verdict.begin();
    const charging = this.#charging;
    if (charging.length > 0) charging.length = 0;
    const facts = generation.inPlace(bag, verdict);
    const count = this.#rules.select(facts);
    for (let i = 0; i < count; i++) {
      const rule = this.#rules.at(i);
      const value = holds(rule, facts);
      if (value === false) continue;
      if (value !== true) this.#unjudged(rule, value, verdict);
      else {
        statistics.matched[rule.row]!++;
        this.#ask(rule, facts);
      }
    }
    if (charging.length > 0 && verdict.code === StatusCode.ok) this.#charge(facts, nowMs);
    return verdict.finish();
  }

  async later(bag: AttributeBag, options: AskOptions): Promise<Verdict> {
    const { generation, clock } = this.#surroundings;
    const { onlyRemote } = options;
    const verdict = new VerdictBuilder(this.#surroundings.statistics).begin();
    const facts = await generation.later(bag, verdict);
    const asked = this.#matching(facts, verdict, onlyRemote).map((rule) => ({
      rule,
      pending: rule.checks.flatMap((ask): PendingCheck[] => {
        if (onlyRemote && !ask.handler.isRemote) return [];
        const instance = instanceOf(ask, facts);
        if (instance instanceof Fault) return [{ ask, answer: instance }];
        const { handler, timeoutMs } = ask;
        return [{ ask, answer: handler.checkLater(instance, { clock, timeoutMs }) }];
      }),
    }));
    const answers = new OverlayBag(this.#surroundings.vocabulary.size);
    for (const { rule, pending } of asked) {
      answers.lay(facts);
      for (const { ask, answer } of pending)
        if (answer instanceof Fault) verdict.unbuilt(rule, ask, answer);
        else answered({ rule, ask, verdict, answers }, await answer);
      if (!onlyRemote) changeAll(rule, answers, verdict);
    }
    const charging = asked.map(({ rule }) => rule).filter(({ charges }) => charges.length > 0);
    if (charging.length > 0 && verdict.code === StatusCode.ok)
      await this.#chargeLater(charging, { facts, verdict, options });
    return verdict.finish();
  }

  #ask(rule: CompiledRule, facts: AttributeBag): void {
    const verdict = this.#verdict;
    const answers = rule.outputs.length === 0 ? undefined : this.#answers;
    answers?.lay(facts);
    for (const ask of rule.checks) {
      if (ask.handler.isRemote) continue;
      const instance = instanceOf(ask, facts);
      if (instance instanceof Fault) {
        verdict.unbuilt(rule, ask, instance);
        continue;
      }
      const result = ask.handler.check(instance);
      verdict.answer(rule, ask, result);
      if (answers !== undefined) remember(rule, ask, result, answers);
    }
    if (rule.remotePolicy !== undefined) verdict.leaveToMixer(rule.remotePolicy);
    if (rule.charges.length > 0) this.#charging.push(rule);
    changeAll(rule, answers ?? facts, verdict);
  }

  /** A rule that guards nothing only adds headers, and then does not. */
  #unjudged(rule: CompiledRule, fault: Fault, verdict: VerdictBuilder): void {
    if (rule.guards) verdict.unjudged(rule, fault);
    else this.#surroundings.statistics.fault(rule.row, "match", fault.message);
  }

  #matching(facts: AttributeBag, verdict: VerdictBuilder, onlyRemote: boolean): CompiledRule[] {
    const matching: CompiledRule[] = [];
    const count = this.#rules.select(facts);
    for (let i = 0; i < count; i++) {
      const rule = this.#rules.at(i);
      if (onlyRemote && rule.remotePolicy === undefined) continue;
      const value = holds(rule, facts);
      if (value === false) continue;
      if (value !== true) this.#unjudged(rule, value, verdict);
      else {
        this.#surroundings.statistics.matched[rule.row]!++;
        matching.push(rule);
      }
    }
    return matching;
  }

  #charge(facts: AttributeBag, nowMs: number): void {
    const taken: Charge[] = [];
    for (const rule of this.#charging)
      for (const ask of rule.charges) {
        if (ask.handler.isRemote) continue;
        const instance = instanceOf(ask, facts);
        if (instance instanceof Fault) {
          this.#verdict.unbuilt(rule, ask, instance);
          continue;
        }
        const { handler, charge: amount } = ask;
        const request = { amount, bestEffort: false, dedupId: "", nowMs };
        const result = handler.allocate(instance, request);
        taken.push({ rule, ask, instance, result, isLate: false });
      }
    settle(taken, this.#verdict);
    if (this.#verdict.code === StatusCode.ok) return;
    for (const { ask, instance, result } of taken)
      if (result.granted > 0) ask.handler.allocate(instance, givingBack(result, nowMs));
  }

  async #chargeLater(
    charging: readonly CompiledRule[],
    of: {
      readonly facts: AttributeBag;
      readonly verdict: VerdictBuilder;
      readonly options: AskOptions;
    },
  ): Promise<void> {
    const { facts, verdict, options } = of;
    const { clock } = this.#surroundings;
    const { nowMs, onlyRemote, dedupId = "" } = options;
    const pending: Promise<Charge>[] = [];
    for (const rule of charging)
      for (const ask of rule.charges) {
        const { handler, timeoutMs, charge: amount } = ask;
        if (onlyRemote && !handler.isRemote) continue;
        const instance = instanceOf(ask, facts);
        if (instance instanceof Fault) {
          verdict.unbuilt(rule, ask, instance);
          continue;
        }
        const id = dedupId === "" ? "" : `${dedupId}${ask.instance.name}`;
        const request = { amount, bestEffort: false, dedupId: id, nowMs };
        pending.push(
          handler
            .allocateLater(instance, request, { clock, timeoutMs })
            .then((timed) => ({ rule, ask, instance, ...timed })),
        );
      }
    const taken = await Promise.all(pending);
    settle(taken, verdict);
    if (verdict.code === StatusCode.ok) return;
    const givenBack = taken
      .filter(({ result }) => result.granted > 0)
      .map(({ ask: { handler, timeoutMs }, instance, result }) =>
        handler.allocateLater(instance, givingBack(result, nowMs), { clock, timeoutMs }),
      );
    await Promise.all(givenBack);
  }
}

interface Answered {
  readonly rule: CompiledRule;
  readonly ask: Ask;
  readonly verdict: VerdictBuilder;
  readonly answers: OverlayBag;
}

function answered(to: Answered, { result, isLate }: Timed<CheckResult>): void {
  const { rule, ask, verdict, answers } = to;
  if (isLate) {
    const { code, message: why } = result;
    const { handler, failPolicy } = ask;
    verdict.fault(rule, { of: "late", who: handler.name, why, code, failPolicy });
  } else verdict.answer(rule, ask, result);
  remember(rule, ask, result, answers);
}

/** What header operations read of the answer. */
function remember(rule: CompiledRule, ask: Ask, { output }: CheckResult, to: OverlayBag): void {
  if (output === undefined) return;
  for (const { slot, action, field } of rule.outputs) {
    const value = action === ask.action && Object.hasOwn(output, field) ? output[field] : undefined;
    if (value !== undefined) to.set(slot, value);
  }
}

function changeAll(rule: CompiledRule, bag: AttributeBag, verdict: VerdictBuilder): void {
  if (verdict.code !== StatusCode.ok) return;
  changeHeaders(rule.requestHeaders, bag, verdict.requestHeaders);
  changeHeaders(rule.responseHeaders, bag, verdict.responseHeaders);
}

function settle(taken: readonly Charge[], verdict: VerdictBuilder): void {
  let exhausted: Charge[] | undefined;
  for (const charge of taken) {
    const { rule, ask, result, isLate } = charge;
    if (isQuotaFault(result)) {
      const { code, message: why } = result;
      const { handler, failPolicy } = ask;
      verdict.fault(rule, {
        of: isLate ? "late" : "handler",
        who: handler.name,
        why,
        code,
        failPolicy,
      });
    } else if (result.granted < ask.charge) {
      exhausted ??= [];
      exhausted.push(charge);
    } else verdict.charged();
  }
  if (exhausted === undefined) return;
  const [first] = exhausted as [Charge];
  const names = exhausted.map(({ ask }) => ask.instance.shortName);
  const waits = exhausted.map(({ result }) => retryAfterMsOf(result));
  verdict.exhausted(first.rule, names, Math.max(...waits));
}

function givingBack({ granted }: QuotaResult, nowMs: number): QuotaRequest {
  return { amount: -granted, bestEffort: false, dedupId: "", nowMs };
}
