/**
 * Take note: rules that match and are not left out by their sampling hand their instances on. What
 * goes wrong is counted, and never in the way of the exchange. Spec: mixer 1.4.
 */
import type { AttributeBag } from "../attribute/bag.ts";
import { Fault } from "../attribute/fault.ts";
import type { Clock } from "../core/clock.ts";
import type { AttributeGeneration } from "./attribute-generation.ts";
import { type CompiledRule, holds, instanceOf, type Telling } from "./compiled-rule.ts";
import type { OpenHandler } from "./open-handler.ts";
import type { RuleSet } from "./rule-set.ts";
import type { RuleStatistics } from "./rule-statistics.ts";
import type { AnyInstance, TemplateName } from "./template.ts";
import type { AskOptions } from "./verdict.ts";

export interface ReportSurroundings {
  readonly statistics: RuleStatistics;
  readonly clock: Clock;
  readonly generation: AttributeGeneration;
}

/** All instances of one template for one handler, of whatever rule and exchange. */
interface Batch {
  readonly handler: OpenHandler;
  readonly timeoutMs: number;
  readonly instances: AnyInstance[];
  readonly rules: Set<CompiledRule>;
}

export class ReportQuestion {
  readonly #rules: RuleSet;
  readonly #surroundings: ReportSurroundings;

  constructor(rules: RuleSet, surroundings: ReportSurroundings) {
    this.#rules = rules;
    this.#surroundings = surroundings;
  }

  /** True: a rule that matched has handlers that only the mixer can tell. */
  inPlace(bag: AttributeBag): boolean {
    const facts = this.#surroundings.generation.inPlace(bag, undefined);
    const { clock, statistics } = this.#surroundings;
    let isForMixer = false;
    const count = this.#rules.select(facts);
    for (let i = 0; i < count; i++) {
      const rule = this.#rules.at(i);
      if (!this.#holds(rule, facts)) continue;
      const isTaken = rule.sampler === undefined || rule.sampler.takes(facts, clock.nowMs());
      // The mixer samples for itself what it is told.
      for (const telling of rule.tellings)
        if (telling.handler.isRemote) isForMixer = true;
        else if (isTaken) this.#tell(rule, telling, facts);
      if (isTaken) statistics.reported[rule.row]!++;
    }
    return isForMixer;
  }

  /** What went wrong, in words. */
  async later(
    bags: readonly AttributeBag[],
    { onlyRemote }: AskOptions,
  ): Promise<readonly string[]> {
    const { clock, generation, statistics } = this.#surroundings;
    const batches = new Map<OpenHandler, Map<TemplateName, Batch>>();
    const complaints: string[] = [];
    for (const bag of bags)
      this.#gather(await generation.later(bag, undefined), { onlyRemote, batches, complaints });
    const calls = [...batches.values()]
      .flatMap((byTemplate) => [...byTemplate.values()])
      .map(async ({ handler, timeoutMs, instances, rules }) => {
        const { result, isLate } = await handler.reportLater(instances, { clock, timeoutMs });
        for (const why of result) complaints.push(`${handler.name}:${why}`);
        const [why] = result;
        if (why === undefined) return;
        for (const { row } of rules) statistics.fault(row, isLate ? "late" : "handler", why);
      });
    await Promise.all(calls);
    return complaints;
  }

  #holds(rule: CompiledRule, facts: AttributeBag): boolean {
    const value = holds(rule, facts);
    if (typeof value === "boolean") return value;
    this.#surroundings.statistics.fault(rule.row, "match", value.message);
    return false;
  }

  #tell(rule: CompiledRule, { handler, asks }: Telling, facts: AttributeBag): void {
    const { statistics } = this.#surroundings;
    const instances: AnyInstance[] = [];
    for (const ask of asks) {
      const instance = instanceOf(ask, facts);
      if (instance instanceof Fault) statistics.fault(rule.row, "instance", instance.message);
      else instances.push(instance);
    }
    if (instances.length === 0) return;
    const result = handler.report(instances);
    if (result.length > 0) statistics.fault(rule.row, "handler", result[0]!);
  }

  #gather(
    facts: AttributeBag,
    to: {
      readonly onlyRemote: boolean;
      readonly batches: Map<OpenHandler, Map<TemplateName, Batch>>;
      readonly complaints: string[];
    },
  ): void {
    const { clock, statistics } = this.#surroundings;
    const count = this.#rules.select(facts);
    for (let i = 0; i < count; i++) {
      const rule = this.#rules.at(i);
      const tellings = to.onlyRemote
        ? rule.tellings.filter(({ handler }) => handler.isRemote)
        : rule.tellings;
      if (tellings.length === 0 || !this.#holds(rule, facts)) continue;
      if (rule.sampler !== undefined && !rule.sampler.takes(facts, clock.nowMs())) continue;
      statistics.reported[rule.row]!++;
      for (const telling of tellings) {
        const batch = batchOf(to.batches, telling);
        for (const ask of telling.asks) {
          const instance = instanceOf(ask, facts);
          if (instance instanceof Fault) {
            statistics.fault(rule.row, "instance", instance.message);
            to.complaints.push(`${ask.instance.name}:${instance.message}`);
          } else {
            batch.instances.push(instance);
            batch.rules.add(rule);
          }
        }
      }
    }
  }
}

function batchOf(
  batches: Map<OpenHandler, Map<TemplateName, Batch>>,
  { handler, template, timeoutMs }: Telling,
): Batch {
  const byTemplate = batches.get(handler) ?? new Map<TemplateName, Batch>();
  batches.set(handler, byTemplate);
  let batch = byTemplate.get(template);
  if (batch === undefined) {
    batch = { handler, timeoutMs, instances: [], rules: new Set() };
    byTemplate.set(template, batch);
  }
  return batch;
}
