/** A rule explained, as an operator reads it: what it is, whom it asks, what it did. */
import { formatProblem } from "../../core/problem.ts";
import { type ProxyRule, type RuleCount, sumOf } from "../explain/rule-count.ts";
import type { ActionExplanation, NamedPart, RuleExplanation } from "../explain/rule-explanation.ts";
import { harmless, type Paint } from "../terminal.ts";
import { problemJson } from "./problem-text.ts";
import { renderTable } from "./table.ts";

const FIGURES = ["MATCHED", "DENIED", "FAILED", "TOLD"] as const;

export function explanationText(
  rule: RuleExplanation,
  counts: readonly ProxyRule[],
  paint: Paint,
): string {
  const facts: readonly (readonly [string, string])[] = [
    ["written", rule.origin || "nobody knows where"],
    ["state", stateText(rule, counts, paint)],
    ["match", rule.match === "" ? "always" : rule.match.replace(/\s+/g, " ")],
    ["for", rule.isForAll ? "requests of every namespace" : "requests of its own namespace"],
    ["else", rule.failPolicy === "open" ? "open: passes unjudged" : "closed: refuses unjudged"],
    ...rule.headers.map((header) => ["header", header] as const),
  ];
  const reads = rule.reads.map(({ attribute, by }) => [attribute, by.join(", ")]);
  const parts = [
    paint.bold(rule.name),
    ...facts.map(([name, value]) => `  ${name.padEnd(8)} ${value}`),
    ...problemLines(rule, paint),
    section("Actions", ["ASKS", "HANDLER", "TOLD", "RUNS AT"], rule.actions.map(actionRow)),
    ...(reads.length === 0 ? [] : [section("Reads", ["ATTRIBUTE", "FOR"], reads)]),
    ...countParts(counts),
  ];
  return harmless(`${parts.join("\n").trimEnd()}\n`);

  function section(title: string, headers: readonly string[], rows: string[][]): string {
    const table = rows.length === 0 ? "none\n" : renderTable(headers, rows, paint);
    return `\n${paint.bold(title)}\n${table.trimEnd()}`;
  }

  function countParts(all: readonly ProxyRule[]): readonly string[] {
    const counted = all.filter((one) => one.at === "counted");
    const without = all.filter(({ at }) => at === "without").map(({ proxy }) => proxy);
    const rows = (some: typeof counted): string[][] =>
      some.map(({ proxy, count, isFormer }) => [
        isFormer ? `${proxy} (an earlier form)` : proxy,
        ...figures(count),
      ]);
    const [mixers, proxies] = [counted.filter(isMixer), counted.filter((one) => !isMixer(one))];
    const atProxies = rows(proxies);
    if (proxies.length > 1) atProxies.push(["together", ...figures(sumOf(all))]);
    const faults = counted
      .filter(({ lastFault }) => lastFault !== "")
      .map(({ proxy, lastFault }) => `last fault at ${proxy}: ${lastFault}`);
    const lost = all
      .filter((one) => one.at === "unreachable")
      .map(({ proxy, reason }) => `${paint.yellow("not counted")}: ${proxy}: ${reason}`);
    return [
      section("Counted", ["PROXY", ...FIGURES], atProxies),
      ...(mixers.length === 0
        ? []
        : [section("Of these and others, asked of mixers", ["MIXER", ...FIGURES], rows(mixers))]),
      ...(without.length === 0 ? [] : [`without it: ${without.join(", ")}`]),
      ...faults,
      ...lost,
    ];
  }
}

function isMixer(one: ProxyRule): boolean {
  return one.at === "counted" && one.isMixer;
}

function stateText(
  { state }: RuleExplanation,
  counts: readonly ProxyRule[],
  { green, yellow, red }: Paint,
): string {
  if (state === "in force") return green(state);
  const isKept = counts.some((one) => one.at === "counted" && one.isFormer);
  if (isKept) return `${red("broken")}, and in force in its last good form`;
  return (state === "not in force" ? red : yellow)(state);
}

/** For scripts: the same, with names that stay. */
export function explanationJson(rule: RuleExplanation, counts: readonly ProxyRule[]): unknown {
  return {
    ...rule,
    problems: rule.problems.map((problem) => ({ ...problemJson(problem), object: problem.object })),
    proxies: counts,
    sum: sumOf(counts),
  };
}

function problemLines(rule: RuleExplanation, paint: Paint): readonly string[] {
  if (rule.problems.length === 0) return [];
  const why = rule.state === "in force" ? "To look at" : "Why";
  return ["", paint.bold(why), ...rule.problems.map((one) => `  ${formatProblem(one)}`)];
}

function actionRow({ name, asks, handler, instances, runsAt }: ActionExplanation): string[] {
  return [
    name === "" ? asks : `${name}: ${asks}`,
    partText(handler),
    instances.map(partText).join(", "),
    runsAt,
  ];
}

/** "deny.handler.default (denier, rules/a.yaml:3)" */
function partText({ name, kind, origin }: NamedPart): string {
  const about = [kind, origin].filter((one) => one !== "").join(", ");
  return about === "" ? name : `${name} (${about})`;
}

function figures({ matched, denied, failed, reported }: RuleCount): string[] {
  return [matched, denied, failed, reported].map(String);
}
