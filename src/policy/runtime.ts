/**
 * The policy that is in force, and how another one comes to be.
 *
 *   publish(policy) ─▶ handlers: kept where their signature is the same, else opened
 *                   ─▶ rules compiled ─▶ current = engine, by one assignment
 *                                          └─▶ the former: once nobody uses it any more, handlers
 *                                              that only it has are closed
 */
import { Vocabulary } from "../attribute/vocabulary.ts";
import type { Random } from "../core/random.ts";
import type { Counter, Gauge, MetricScope } from "../telemetry/metrics.ts";
import { compileRule } from "./compiled-rule.ts";
import { Engine } from "./engine.ts";
import { type HandlerFailure, type HandlerSurroundings, HandlerTable } from "./handler-table.ts";
import type { OpenHandler } from "./open-handler.ts";
import type { ResolvedHandler, ResolvedPolicy } from "./resolved-policy.ts";
import { RuleStatistics } from "./rule-statistics.ts";

export interface RuntimeSurroundings extends HandlerSurroundings {
  /** For sampling by chance. */
  readonly random: Random;
}

export interface Publication {
  readonly generation: number;
  /** Handlers that could not be opened: their actions answer by the fail policy. Logged as well. */
  readonly failures: readonly HandlerFailure[];
}

const nothing: ResolvedPolicy = {
  vocabulary: new Vocabulary([]),
  handlers: [],
  rules: [],
  quotaSpecs: [],
  httpApiSpecs: [],
};

export class PolicyRuntime {
  /** Of rules, over all publications. */
  readonly statistics = new RuleStatistics();
  readonly #surroundings: RuntimeSurroundings;
  readonly #metrics: MetricScope;
  readonly #handlers: HandlerTable;
  readonly #generations: Gauge;
  readonly #rules: Gauge;
  readonly #unknownQuotas: Counter;
  #generation = 0;
  #current: Engine;

  constructor(surroundings: RuntimeSurroundings) {
    this.#surroundings = surroundings;
    this.#metrics = surroundings.metrics.scope();
    this.#handlers = new HandlerTable(surroundings, this.#metrics);
    const published = "Publications of policy.";
    this.#generations = this.#metrics.gauge("mesh_policy_generation", published, {}, "max");
    this.#rules = this.#metrics.gauge("mesh_policy_rules", "Rules in force.", {}, "max");
    const unknown = "Quotas that were asked for and no rule has; they were granted.";
    this.#unknownQuotas = this.#metrics.counter("mesh_policy_unknown_quotas_total", unknown);
    this.#current = this.#engineOf(nothing, new Map());
  }

  /** What a new exchange begins with; before the first publication a policy without rules. */
  get current(): Engine {
    return this.#current;
  }

  publish(policy: ResolvedPolicy): Publication {
    this.#generation++;
    const former = this.#current;
    const handlers = new Map<string, OpenHandler>();
    this.#current = this.#engineOf(policy, handlers);
    former.supersede();
    this.#generations.set(this.#generation);
    this.#rules.set(policy.rules.length);
    const failures = Array.from(handlers.values(), ({ name, opened }) =>
      opened.at === "nowhere" ? [{ handler: name, why: opened.why }] : [],
    );
    return { generation: this.#generation, failures: failures.flat() };
  }

  /** Closes all handlers at once; nothing is asked any more. Twice is once. */
  close(): void {
    this.#handlers.close();
    this.#metrics.retire();
  }

  /** Handlers that it has are put into `handlers`, by name. */
  #engineOf(policy: ResolvedPolicy, handlers: Map<string, OpenHandler>): Engine {
    const { vocabulary, rules } = policy;
    const { clock, log, random } = this.#surroundings;
    const { statistics } = this;
    const open = (resolved: ResolvedHandler): OpenHandler => {
      const known = handlers.get(resolved.name);
      if (known !== undefined) return known;
      const handler = this.#handlers.acquire(resolved);
      handlers.set(resolved.name, handler);
      return handler;
    };
    for (const handler of policy.handlers) open(handler);
    const compiled = rules.map((rule) => ({
      namespace: rule.namespace,
      rule: compileRule(rule, { vocabulary, statistics, random, open }),
    }));
    const byNamespace = Map.groupBy(compiled, ({ namespace }) => namespace);
    return new Engine({
      generation: this.#generation,
      vocabulary,
      rules: new Map(
        Array.from(byNamespace, ([namespace, own]) => [namespace, own.map(({ rule }) => rule)]),
      ),
      surroundings: { statistics, clock, log, unknownQuotas: this.#unknownQuotas },
      onRetired: () => {
        for (const handler of handlers.values()) this.#handlers.release(handler);
        for (const { name } of rules) statistics.release(name);
      },
    });
  }
}
