/**
 * What one rule of policy comes to: its match, whom it asks and where, what it reads, and what
 * keeps it from being in force. Made of all policy that a manager holds, as a proxy makes it; pure.
 */

import { adapterNamed, adapters } from "../../adapter/inventory.ts";
import { policyObjectName } from "../../adapter/policy-problem.ts";
import { isError, type Position } from "../../core/problem.ts";
import { policySetOf } from "../../dialect/policy/policy-set.ts";
import type { Config } from "../../model/config.ts";
import type { FailPolicy } from "../../model/handler.ts";
import { type Action, inlineName, type PolicyRule } from "../../model/policy-rule.ts";
import { type Declared, policyRootNamespace } from "../../model/policy-set.ts";
import { resolvePolicy } from "../../policy/resolve.ts";
import { fullNames } from "../../policy/resolve-name.ts";
import type { PolicyProblem } from "../../policy/resolve-problem.ts";
import type { ResolvedAction, ResolvedPolicy, ResolvedRule } from "../../policy/resolved-policy.ts";
import { sampledSlots } from "../../policy/sampler.ts";
import { templates } from "../../policy/template.ts";

export type RuleDeclaration = Declared<PolicyRule>;

/** What an action asks or tells: a full name, and where that is written; "" within the rule. */
export interface NamedPart {
  readonly name: string;
  /** The adapter of a handler, the template of an instance; "": it is not known. */
  readonly kind: string;
  readonly origin: string;
}

export interface ActionExplanation {
  /** As header operations call it. */
  readonly name: string;
  /** "check", "quota", "report", "generator"; "unknown" where it is not in force. */
  readonly asks: ResolvedAction["variety"] | "unknown";
  readonly handler: NamedPart;
  readonly instances: readonly NamedPart[];
  readonly runsAt: "proxy" | "mixer" | "unknown";
}

export interface RuleExplanation {
  /** "no-jason.rule.default" */
  readonly name: string;
  /** "rules/deny.yaml:3" */
  readonly origin: string;
  /** Of what is written now: proxies may go on with an earlier form. */
  readonly state: "in force" | "in force in part" | "not in force";
  /** As it was written; "": always. */
  readonly match: string;
  readonly failPolicy: FailPolicy;
  readonly isForAll: boolean;
  readonly actions: readonly ActionExplanation[];
  /** Headers that it changes: "request x-user (replace)". */
  readonly headers: readonly string[];
  /** Attributes, by rising name, and for what each is read. */
  readonly reads: readonly { readonly attribute: string; readonly by: readonly string[] }[];
  /** Of the rule, and of what it names. */
  readonly problems: readonly PolicyProblem[];
}

/** All rules of these configs, those that are made of policy of Istio 0.1 included. */
export function rulesIn(configs: readonly Config[]): readonly RuleDeclaration[] {
  return policySetOf(configs).rules;
}

export function explainRule(rule: RuleDeclaration, configs: readonly Config[]): RuleExplanation {
  const { policy, problems } = resolvePolicy(
    policySetOf(configs),
    { adapters, templates },
    { rootNamespace: policyRootNamespace },
  );
  const { namespace, spec, origin } = rule;
  const name = `${rule.name}.rule.${namespace}`;
  const origins = new Map(configs.map((one) => [policyObjectName(one), placeText(one.origin)]));
  const resolved = policy.rules.find((one) => one.name === name);
  const concerned = new Set([name, ...namesOf(rule).flat()]);
  const own = problems.filter(({ object }) => concerned.has(object));
  const isWhole = !own.some(isError);
  const headers = (side: string, all: PolicyRule["requestHeaders"]): string[] =>
    all.map((one) => `${side} ${one.name} (${one.operation})`);
  return {
    name,
    origin: placeText(origin),
    state: resolved === undefined ? "not in force" : isWhole ? "in force" : "in force in part",
    match: spec.match?.source.trim() ?? "",
    failPolicy: spec.failPolicy,
    isForAll: namespace === policyRootNamespace,
    actions:
      resolved?.actions.map((action) => resolvedAction(action, origins)) ??
      spec.actions.map((action, i) => writtenAction(rule, action, i)),
    headers: [
      ...headers("request", spec.requestHeaders),
      ...headers("response", spec.responseHeaders),
    ],
    reads: resolved === undefined ? [] : readsOf(resolved, policy),
    problems: own,
  };
}

export function placeText({ file, line }: Pick<Position, "file" | "line">): string {
  return line === 0 ? file : `${file}:${line}`;
}

/** Full names that its references may stand for. */
function namesOf({ namespace, spec }: RuleDeclaration): readonly (readonly string[])[] {
  return spec.actions.flatMap(({ handler, instances }) => [
    "name" in handler ? fullNames(handler.name, "handler", namespace) : [],
    ...instances.map((one) => ("name" in one ? fullNames(one.name, "instance", namespace) : [])),
  ]);
}

function resolvedAction(
  { name, variety, handler, instances }: ResolvedAction,
  origins: ReadonlyMap<string, string>,
): ActionExplanation {
  const part = (full: string, kind: string): NamedPart => ({
    name: full,
    kind,
    origin: origins.get(full) ?? "",
  });
  return {
    name,
    asks: variety,
    handler: part(handler.name, handler.adapter),
    instances: instances.map((one) => part(one.name, one.template)),
    runsAt: handler.configured.runsAt,
  };
}

/** Of a rule that is not in force: what its author named. */
function writtenAction(rule: RuleDeclaration, action: Action, index: number): ActionExplanation {
  const { handler, instances } = action;
  const isNamed = "name" in handler;
  return {
    name: action.name,
    asks: "unknown",
    handler: isNamed
      ? { name: handler.name, kind: "", origin: "" }
      : { name: inlineName(rule.name, index), kind: handler.adapter, origin: "" },
    instances: instances.map((one, i) =>
      "name" in one
        ? { name: one.name, kind: "", origin: "" }
        : { name: inlineName(rule.name, index, i), kind: one.template, origin: "" },
    ),
    runsAt: isNamed ? "unknown" : (adapterNamed(handler.adapter)?.runsAt ?? "unknown"),
  };
}

function readsOf(rule: ResolvedRule, { vocabulary }: ResolvedPolicy): RuleExplanation["reads"] {
  const { match, sampling } = rule;
  const readers: (readonly [by: string, slots: Iterable<number>])[] = [
    ["match", match?.reads ?? []],
    ["sampling", sampling === undefined ? [] : sampledSlots(sampling, vocabulary)],
    ...rule.actions.flatMap(({ instances }) =>
      instances.map(({ name, reads }) => [name, reads] as const),
    ),
    ...[...rule.requestHeaders, ...rule.responseHeaders].map(
      ({ name, values }) => [`header ${name}`, values.flatMap(({ reads }) => [...reads])] as const,
    ),
  ];
  const found = new Map<string, Set<string>>();
  for (const [by, slots] of readers)
    for (const slot of slots) {
      const attribute = vocabulary.attributes[slot]?.name;
      // What is beyond the vocabulary is what an action has answered.
      if (attribute === undefined) continue;
      found.getOrInsertComputed(attribute, () => new Set()).add(by);
    }
  return [...found]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([attribute, by]) => ({ attribute, by: [...by] }));
}
