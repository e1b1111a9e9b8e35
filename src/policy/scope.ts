/** The rules of one namespace, by question. */
import type { AttributeBag } from "../attribute/bag.ts";
import type { Vocabulary } from "../attribute/vocabulary.ts";
import type { Clock } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import type { Counter } from "../telemetry/metrics.ts";
import { AttributeGeneration } from "./attribute-generation.ts";
import { CheckQuestion } from "./check-question.ts";
import type { CompiledRule } from "./compiled-rule.ts";
import { QuotaQuestion } from "./quota-question.ts";
import { ReportQuestion } from "./report-question.ts";
import { RuleSet } from "./rule-set.ts";
import type { RuleStatistics } from "./rule-statistics.ts";
import type {
  AskOptions,
  PolicyScope,
  QuotaQuestion as Question,
  QuotaAnswer,
  Verdict,
} from "./verdict.ts";

export interface ScopeSurroundings {
  readonly vocabulary: Vocabulary;
  readonly statistics: RuleStatistics;
  readonly clock: Clock;
  readonly log: Log;
  /** Quotas that no rule knows. */
  readonly unknownQuotas: Counter;
  /** Handlers stay open while somebody waits for an answer. */
  readonly acquire: () => void;
  readonly release: () => void;
}

export class Scope implements PolicyScope {
  readonly #rules: readonly CompiledRule[];
  readonly #surroundings: ScopeSurroundings;
  readonly #check: CheckQuestion;
  readonly #quota: QuotaQuestion;
  readonly #report: ReportQuestion;
  readonly checksNothing: boolean;
  readonly reportsNothing: boolean;
  readonly reportsToMixer: boolean;
  readonly reads: ReadonlySet<number>;

  constructor(rules: readonly CompiledRule[], surroundings: ScopeSurroundings) {
    this.#rules = rules;
    this.#surroundings = surroundings;
    const generators = new RuleSet(rules.filter((rule) => rule.generators.length > 0));
    const checks = new RuleSet(rules.filter(asksBefore));
    const reports = new RuleSet(rules.filter((rule) => rule.tellings.length > 0));
    const generation = new AttributeGeneration(generators, surroundings);
    const { unknownQuotas: unknown } = surroundings;
    this.#check = new CheckQuestion(checks, { ...surroundings, generation });
    this.#quota = new QuotaQuestion(rules, { ...surroundings, generation, unknown });
    this.#report = new ReportQuestion(reports, { ...surroundings, generation });
    this.checksNothing = checks.isEmpty;
    this.reportsNothing = reports.isEmpty;
    this.reportsToMixer = reports.rules.some(({ tellings }) =>
      tellings.some(({ handler }) => handler.isRemote),
    );
    this.reads = new Set(rules.flatMap((rule) => [...rule.reads]));
  }

  /** In the order in which they are asked. */
  get rules(): readonly CompiledRule[] {
    return this.#rules;
  }

  check(bag: AttributeBag, nowMs: number): Verdict {
    return this.#check.inPlace(bag, nowMs);
  }

  allocate(bag: AttributeBag, question: Question, nowMs: number): QuotaAnswer {
    return this.#quota.inPlace(bag, question, nowMs);
  }

  report(bag: AttributeBag): boolean {
    return this.#report.inPlace(bag);
  }

  checkAll(bag: AttributeBag, options: AskOptions): Promise<Verdict> {
    return this.#held(() => this.#check.later(bag, options));
  }

  allocateAll(bag: AttributeBag, question: Question, options: AskOptions): Promise<QuotaAnswer> {
    return this.#held(() => this.#quota.later(bag, question, options));
  }

  reportAll(bags: readonly AttributeBag[], options: AskOptions): Promise<readonly string[]> {
    return this.#held(() => this.#report.later(bags, options));
  }

  async #held<T>(answer: () => Promise<T>): Promise<T> {
    const { acquire, release } = this.#surroundings;
    acquire();
    try {
      return await answer();
    } finally {
      release();
    }
  }
}

function asksBefore(rule: CompiledRule): boolean {
  const { checks, charges, requestHeaders, responseHeaders } = rule;
  return [checks, charges, requestHeaders, responseHeaders].some((of) => of.length > 0);
}
