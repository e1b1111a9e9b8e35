/**
 * What an operator sees of the policy that a proxy or a mixer runs on: plain data, which another
 * thread may send, and its lines of text.
 */
import { formatProblem, type Problem } from "../core/problem.ts";
import type { ResolvedPolicy, ResolvedRule } from "./resolved-policy.ts";
import type { RuleFigures } from "./rule-statistics.ts";

export interface PolicyView {
  readonly generation: number;
  readonly rules: readonly RuleView[];
  /** In words, with their places. */
  readonly problems: readonly string[];
  /** "r.rule.default": what is broken and stays in force as it was before. */
  readonly kept: readonly string[];
}

export interface RuleView {
  /** "deny-jason.rule.default" */
  readonly name: string;
  /** "rules/deny.yaml:3" */
  readonly origin: string;
  /** As it was written; "": always. */
  readonly match: string;
  /** Where its handlers are asked. */
  readonly runsAt: "proxy" | "mixer" | "both";
  readonly failPolicy: "open" | "closed";
  /** Is it asked here at all: is it of the proxy's namespace, or for all. */
  readonly concerns: boolean;
  /** "h.denier.default (denier): i.checknothing.default" */
  readonly actions: readonly string[];
  readonly figures: RuleFigures;
}

export interface ViewedPolicy {
  readonly generation: number;
  readonly resolved: ResolvedPolicy;
  readonly problems: readonly Problem[];
  readonly kept: readonly string[];
  readonly figuresOf: (rule: string) => RuleFigures | undefined;
  readonly concerns: (namespace: string) => boolean;
}

export function viewPolicy(viewed: ViewedPolicy): PolicyView {
  const { generation, resolved, problems, kept, figuresOf, concerns } = viewed;
  return {
    generation,
    rules: resolved.rules.map((rule) => ({
      name: rule.name,
      origin: placeOf(rule),
      match: rule.match?.source ?? "",
      runsAt: rule.runsAt,
      failPolicy: rule.failPolicy,
      concerns: concerns(rule.namespace),
      actions: rule.actions.map(
        ({ handler, instances }) =>
          `${handler.name} (${handler.adapter}): ${instances.map(({ name }) => name).join(", ")}`,
      ),
      figures: figuresOf(rule.name) ?? nothingYet(rule.name),
    })),
    problems: problems.map(formatProblem),
    kept,
  };
}

/** In the form of /clusters, for whoever greps. */
export function policyText({ rules, problems, kept }: PolicyView): string {
  if (rules.length === 0 && problems.length === 0) return "no rules";
  const fate = kept.length === 0 ? "left out" : `as before: ${kept.join(", ")}; else left out`;
  const told = problems.length === 0 ? [] : [`problems (${fate}):`];
  return [...rules.flatMap(ruleLines), ...told, ...problems.map((one) => `  ${one}`)].join("\n");
}

function ruleLines(rule: RuleView): string[] {
  const { name, figures } = rule;
  const { match, instance, handler, late } = figures.failed;
  const line = (key: string, value: string | number | boolean): string =>
    `${name}::${key}::${value}`;
  return [
    line("origin", rule.origin),
    line("match", rule.match === "" ? "always" : rule.match),
    line("runs_at", rule.runsAt),
    line("fail_policy", rule.failPolicy),
    line("concerns_this_proxy", rule.concerns),
    ...rule.actions.map((action) => line("action", action)),
    line("matched", figures.matched),
    line("denied", figures.denied),
    line("reported", figures.reported),
    line("failed", match + instance + handler + late),
    ...(figures.lastFault === "" ? [] : [line("last_fault", figures.lastFault)]),
  ];
}

/** Of all threads of a proxy: each has the same rules, and counts for itself. */
export function mergeViews(views: readonly PolicyView[]): PolicyView | undefined {
  const [first, ...others] = views;
  if (first === undefined) return undefined;
  return {
    ...first,
    rules: first.rules.map((rule) => ({
      ...rule,
      figures: others.reduce((sum, { rules }) => {
        const other = rules.find(({ name }) => name === rule.name);
        return other === undefined ? sum : together(sum, other.figures);
      }, rule.figures),
    })),
  };
}

function together(a: RuleFigures, b: RuleFigures): RuleFigures {
  return {
    rule: a.rule,
    matched: a.matched + b.matched,
    denied: a.denied + b.denied,
    reported: a.reported + b.reported,
    failed: {
      match: a.failed.match + b.failed.match,
      instance: a.failed.instance + b.failed.instance,
      handler: a.failed.handler + b.failed.handler,
      late: a.failed.late + b.failed.late,
    },
    lastFault: a.lastFault || b.lastFault,
  };
}

function nothingYet(rule: string): RuleFigures {
  const failed = { match: 0, instance: 0, handler: 0, late: 0 };
  return { rule, matched: 0, denied: 0, reported: 0, failed, lastFault: "" };
}

function placeOf({ origin: { file, line } }: ResolvedRule): string {
  return line === 0 ? file : `${file}:${line}`;
}
