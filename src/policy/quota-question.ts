/**
 * How much? A quota is asked for by the short name of its instance, in any case. Spec: mixer 3.2.
 *
 * The first rule that matches answers. Where none does there is no limit: what was asked for is
 * granted, and a quota that no rule knows is counted, since a name misspelt would limit nothing.
 */
import type { AttributeBag } from "../attribute/bag.ts";
import { Fault } from "../attribute/fault.ts";
import type { Clock } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import type { FailPolicy } from "../model/handler.ts";
import type { Counter } from "../telemetry/metrics.ts";
import type { AttributeGeneration } from "./attribute-generation.ts";
import { type Ask, type CompiledRule, holds, instanceOf } from "./compiled-rule.ts";
import { isQuotaFault, retryAfterMsOf } from "./open-handler.ts";
import type { QuotaRequest, QuotaResult } from "./result.ts";
import type { FaultClass, RuleStatistics } from "./rule-statistics.ts";
import { StatusCode } from "./status-code.ts";
import type { AnyInstance } from "./template.ts";
import type { AskOptions, QuotaQuestion as Question, QuotaAnswer } from "./verdict.ts";

export interface QuotaSurroundings {
  readonly statistics: RuleStatistics;
  readonly clock: Clock;
  readonly log: Log;
  readonly generation: AttributeGeneration;
  readonly unknown: Counter;
}

interface Entry {
  readonly rule: CompiledRule;
  readonly ask: Ask;
}

type Found =
  | { readonly at: "unlimited" }
  | { readonly at: "failed"; readonly entry: Entry; readonly why: string }
  | { readonly at: "found"; readonly entry: Entry; readonly instance: AnyInstance };

const UNLIMITED_MS = 60_000;
const NAME_MAX = 256;
const unlimited: Found = { at: "unlimited" };

class AnswerBuilder implements QuotaAnswer {
  granted = 0;
  validDurationMs = 0;
  code: StatusCode = StatusCode.ok;
  message = "";
  retryAfterMs = 0;
  rule = "";
  handler = "";
  needsMixer = false;
  mixerFailPolicy: FailPolicy = "open";

  /** As it was asked for. */
  grant(amount: number, validDurationMs: number): this {
    this.granted = amount;
    this.validDurationMs = validDurationMs;
    this.code = StatusCode.ok;
    this.message = "";
    this.retryAfterMs = 0;
    this.rule = "";
    this.handler = "";
    this.needsMixer = false;
    this.mixerFailPolicy = "open";
    return this;
  }

  by({ rule, ask }: Entry, result: QuotaResult): this {
    const { granted, validDurationMs, code, message } = result;
    this.grant(granted, validDurationMs);
    if (granted <= 0) this.retryAfterMs = retryAfterMsOf(result);
    this.rule = rule.name;
    this.handler = ask.handler.name;
    this.code = code;
    this.message = message;
    return this;
  }

  /** What a fail policy gives is good for this once. */
  failed(entry: Entry, policy: FailPolicy, of: Failed): this {
    const granted = policy === "open" ? of.amount : 0;
    const code = policy === "open" ? StatusCode.ok : of.code;
    const message = policy === "open" ? "" : of.why;
    return this.by(entry, { granted, validDurationMs: 0, code, message });
  }
}

interface Failed {
  readonly amount: number;
  readonly code: StatusCode;
  readonly why: string;
}

export class QuotaQuestion {
  readonly #byName = new Map<string, Entry[]>();
  readonly #surroundings: QuotaSurroundings;
  readonly #answer = new AnswerBuilder();
  #warnedMs = Number.NEGATIVE_INFINITY;

  constructor(rules: readonly CompiledRule[], surroundings: QuotaSurroundings) {
    this.#surroundings = surroundings;
    for (const rule of rules)
      for (const ask of rule.quotas) {
        const name = ask.instance.shortName.toLowerCase();
        const entries = this.#byName.get(name) ?? [];
        entries.push({ rule, ask });
        this.#byName.set(name, entries);
      }
  }

  inPlace(bag: AttributeBag, question: Question, nowMs: number): QuotaAnswer {
    const entries = this.#entriesOf(question);
    const answer = this.#answer;
    const { amount } = question;
    if (entries === undefined) return answer.grant(amount, UNLIMITED_MS);
    const facts = this.#surroundings.generation.inPlace(bag, undefined);
    const found = this.#find(entries, facts, false);
    if (found.at === "unlimited") return answer.grant(amount, UNLIMITED_MS);
    const { entry } = found;
    if (found.at === "failed") return this.#unjudged(answer, found, amount);
    const { handler, failPolicy } = entry.ask;
    if (handler.isRemote) {
      const why = "only the mixer can answer";
      answer.failed(entry, failPolicy, { amount, code: StatusCode.unavailable, why });
      answer.needsMixer = true;
      answer.mixerFailPolicy = failPolicy;
      return answer;
    }
    const result = handler.allocate(found.instance, requestOf(question, nowMs));
    return this.#answered(answer, entry, { result, amount, of: "handler" });
  }

  async later(bag: AttributeBag, question: Question, options: AskOptions): Promise<QuotaAnswer> {
    const { nowMs, onlyRemote } = options;
    const answer = new AnswerBuilder();
    const entries = this.#entriesOf(question);
    const { amount } = question;
    if (entries === undefined) return answer.grant(amount, UNLIMITED_MS);
    const { clock, generation } = this.#surroundings;
    const facts = await generation.later(bag, undefined);
    const found = this.#find(entries, facts, onlyRemote);
    if (found.at === "unlimited") return answer.grant(amount, UNLIMITED_MS);
    if (found.at === "failed") return this.#unjudged(answer, found, amount);
    const { entry, instance } = found;
    const { handler, timeoutMs } = entry.ask;
    const request = requestOf(question, nowMs);
    const { result, isLate } = await handler.allocateLater(instance, request, { clock, timeoutMs });
    return this.#answered(answer, entry, { result, amount, of: isLate ? "late" : "handler" });
  }

  /** Undefined: no rule has such a quota. */
  #entriesOf({ quota }: Question): readonly Entry[] | undefined {
    const entries = this.#byName.get(quota) ?? this.#byName.get(quota.toLowerCase());
    if (entries !== undefined) return entries;
    const { clock, log, unknown } = this.#surroundings;
    unknown.increment();
    if (clock.nowMs() - this.#warnedMs >= UNLIMITED_MS) {
      this.#warnedMs = clock.nowMs();
      log.warn("no rule has this quota: granted", { quota: quota.slice(0, NAME_MAX) });
    }
    return undefined;
  }

  #find(entries: readonly Entry[], facts: AttributeBag, onlyRemote: boolean): Found {
    const { statistics } = this.#surroundings;
    for (const entry of entries) {
      const { rule, ask } = entry;
      if (onlyRemote && !ask.handler.isRemote) continue;
      const value = holds(rule, facts);
      if (value === false) continue;
      const instance = value === true ? instanceOf(ask, facts) : value;
      if (!(instance instanceof Fault)) {
        statistics.matched[rule.row]!++;
        return { at: "found", entry, instance };
      }
      statistics.fault(rule.row, value === true ? "instance" : "match", instance.message);
      if (rule.failPolicy === "closed") return { at: "failed", entry, why: instance.message };
    }
    return unlimited;
  }

  #unjudged(
    answer: AnswerBuilder,
    { entry, why }: Extract<Found, { at: "failed" }>,
    amount: number,
  ): QuotaAnswer {
    return answer.failed(entry, "closed", { amount, code: StatusCode.internal, why });
  }

  #answered(
    answer: AnswerBuilder,
    entry: Entry,
    got: { readonly result: QuotaResult; readonly amount: number; readonly of: FaultClass },
  ): QuotaAnswer {
    const { result, amount, of } = got;
    if (!isQuotaFault(result)) return answer.by(entry, result);
    const { code, message: why } = result;
    this.#surroundings.statistics.fault(entry.rule.row, of, why);
    return answer.failed(entry, entry.ask.failPolicy, { amount, code, why });
  }
}

function requestOf({ quota, amount, bestEffort, dedupId }: Question, nowMs: number): QuotaRequest {
  return { amount, bestEffort, dedupId: dedupId === "" ? "" : `${dedupId}${quota}`, nowMs };
}
