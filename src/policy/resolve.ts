/**
 * What operators declare ─▶ what the dispatcher runs on. Pure, and best effort: what is broken is
 * left out and told, with its place and what it takes along; everything else works.
 *
 *     manifests ─▶ vocabulary ─▶ instances ┐
 *                     handlers' adapters ──┴▶ rules ─▶ handlers configured ─▶ rules finished
 */
import type { PolicySet } from "../model/policy-set.ts";
import type { Adapter } from "./adapter.ts";
import { ExpressionResolver } from "./resolve-expression.ts";
import { type BindableHandler, resolveHandler } from "./resolve-handler.ts";
import { resolveInstance, type UsableInstance } from "./resolve-instance.ts";
import { NameTable, withoutDuplicates } from "./resolve-name.ts";
import { byText, type PolicyProblem, ProblemList, subjectOf } from "./resolve-problem.ts";
import { finishRule, followRule, type RuleContext } from "./resolve-rule.ts";
import { resolveSpecs } from "./resolve-spec.ts";
import { resolveVocabulary } from "./resolve-vocabulary.ts";
import type { ResolvedHandler, ResolvedPolicy } from "./resolved-policy.ts";
import type { Template } from "./template.ts";

/** What policy may speak of. */
export interface PolicyInventory {
  readonly adapters: readonly Adapter[];
  readonly templates: Readonly<Record<string, Template>>;
}

export interface Resolved {
  readonly policy: ResolvedPolicy;
  /** In the order of files and lines. */
  readonly problems: readonly PolicyProblem[];
}

export function resolvePolicy(
  set: PolicySet,
  inventory: PolicyInventory,
  { rootNamespace }: { readonly rootNamespace: string },
): Resolved {
  const problems = new ProblemList();
  const vocabulary = resolveVocabulary(set.manifests, rootNamespace, problems);
  const expressions = new ExpressionResolver(vocabulary, problems);
  const context: RuleContext = {
    templates: inventory.templates,
    ...adaptersByName(inventory.adapters),
    expressions,
    outputs: new Map(),
    maps: new Map(),
    problems,
    handlers: new NameTable<BindableHandler>("handler", problems),
    instances: new NameTable<UsableInstance>("instance", problems),
    inline: [],
  };
  const declared = declareHandlers(set, context);
  declareInstances(set, context);
  const followed = withoutDuplicates(set.rules, (one) => subjectOf(one, "rule"), problems)
    .toSorted(([, a], [, b]) => byText(a.name, b.name))
    .map(([rule, subject]) => followRule(rule, subject, context));
  const configured = new Map<BindableHandler, ResolvedHandler>();
  for (const handler of [...declared, ...context.inline]) {
    const one = handler.configure(problems);
    if (one !== undefined) configured.set(handler, one);
  }
  const rules = followed.flatMap((rule) => finishRule(rule, configured, context) ?? []);
  const used = new Set(rules.flatMap(({ actions }) => actions.map(({ handler }) => handler)));
  const policy: ResolvedPolicy = {
    vocabulary,
    handlers: [...used].sort((a, b) => byText(a.name, b.name)),
    rules,
    ...resolveSpecs(set, rules, { vocabulary, problems }),
  };
  return { policy: Object.freeze(policy), problems: problems.sorted() };
}

function adaptersByName(
  adapters: readonly Adapter[],
): Pick<RuleContext, "adapterNamed" | "adapterNames"> {
  const byName = new Map<string, Adapter>();
  for (const adapter of adapters)
    for (const name of [adapter.name, ...adapter.aliases]) byName.set(name, adapter);
  return { adapterNamed: (name) => byName.get(name), adapterNames: [...byName.keys()] };
}

function declareHandlers(set: PolicySet, context: RuleContext): readonly BindableHandler[] {
  const unique = withoutDuplicates(
    set.handlers,
    (one) => subjectOf(one, one.spec.writtenKind),
    context.problems,
  );
  return unique.flatMap(([one, subject]) => {
    const site = { subject, path: "spec", name: subject.name, shortName: one.name };
    const handler = resolveHandler(one.spec, site, context);
    context.handlers.add(subject.name, one.name, handler);
    return handler ?? [];
  });
}

function declareInstances(set: PolicySet, context: RuleContext): void {
  const unique = withoutDuplicates(
    set.instances,
    (one) => subjectOf(one, one.spec.writtenKind),
    context.problems,
  );
  for (const [one, subject] of unique) {
    const site = { subject, path: "spec", name: subject.name, shortName: one.name };
    context.instances.add(subject.name, one.name, resolveInstance(one.spec, site, context));
  }
}
