/**
 * What would let a refused request in: for operators who ask why. Each part of a rule is asked by
 * itself, so that the rule that is nearest can be named with what it misses.
 */
import { create } from "@bufbuild/protobuf";
import {
  type AccessRule,
  AccessRuleSchema,
  AuthorizationPolicy_Action as Action,
  type AuthorizationPolicy,
  type Condition,
  type Operation,
  OperationSchema,
  type Source,
  SourceSchema,
} from "../../api/gen/mesh/v1/access_pb.ts";
import { compileRule, type FactsTest } from "./compile-rule.ts";
import { type Decision, decisionText, placeOf } from "./decision.ts";
import type { AuthorizationFacts } from "./facts.ts";

export interface RemedyContext {
  readonly isTcp: boolean;
  readonly trustDomains: readonly string[];
}

const SHOWN_MAX = 3;
const VALUES_MAX = 5;

/** Sentences; none: it is not refused by rules. */
export function remediesOf(
  decision: Pick<Decision, "policy" | "rule">,
  policies: readonly AuthorizationPolicy[],
  facts: AuthorizationFacts,
  context: RemedyContext,
): readonly string[] {
  const inForce = policies.filter(({ dryRun }) => !dryRun);
  const denying = inForce.find(({ origin }) => origin?.object === decision.policy);
  const rule = decision.rule === -1 ? undefined : denying?.rules[decision.rule];
  if (denying !== undefined && rule !== undefined && denying.action !== Action.ALLOW)
    return [
      `it would have to differ from what ${nameOf(denying, decision.rule)} says: ${said(rule)}`,
    ];
  const near = inForce
    .filter(({ action }) => action === Action.ALLOW || action === Action.UNSPECIFIED)
    .flatMap((policy) =>
      policy.rules.map((one, i) => ({
        name: nameOf(policy, i),
        missing: missingIn(one, facts, context),
      })),
    )
    .sort((a, b) => a.missing.length - b.missing.length);
  if (near.length === 0) return ["a policy of ALLOW would need a rule for it: none has any"];
  const least = near[0]!.missing.length;
  return near
    .filter(({ missing }) => missing.length === least)
    .slice(0, SHOWN_MAX)
    .map(({ name, missing }) => `${name} would allow it with ${missing.join(" and ")}`);
}

function nameOf({ origin }: AuthorizationPolicy, rule: number): string {
  const place = placeOf(origin);
  const decision = { policy: origin?.object ?? "", rule, allowed: true, place, reason: "" };
  return `${decisionText(decision)}${place === "" ? "" : ` (${place})`}`;
}

/** What of a rule does not hold, in words. */
function missingIn(
  rule: AccessRule,
  facts: AuthorizationFacts,
  context: RemedyContext,
): readonly string[] {
  const holds = (part: Partial<Pick<AccessRule, "from" | "to" | "when">>): boolean => {
    const test: FactsTest | undefined = compileRule(create(AccessRuleSchema, part), {
      ...{ ...context, action: Action.ALLOW, problem: () => {} },
    })?.matches;
    return test?.(facts) === true;
  };
  const from = rule.from.map((source) =>
    fieldsOf(source)
      .filter(([name, values]) => !holds({ from: [create(SourceSchema, { [name]: values })] }))
      .map(fieldText),
  );
  const to = rule.to.map((operation) =>
    fieldsOf(operation)
      .filter(([name, values]) => !holds({ to: [create(OperationSchema, { [name]: values })] }))
      .map(fieldText),
  );
  const when = rule.when.filter((one) => !holds({ when: [one] })).map(conditionText);
  return [...fewest(from), ...fewest(to), ...when];
}

function fewest(alternatives: readonly (readonly string[])[]): readonly string[] {
  return [...alternatives].sort((a, b) => a.length - b.length)[0] ?? [];
}

type Field = readonly [name: string, values: readonly string[]];

/** Those that say something. */
function fieldsOf(message: Source | Operation): readonly Field[] {
  return Object.entries(message).flatMap(([name, values]): Field[] =>
    Array.isArray(values) && values.length > 0 ? [[name, values as string[]]] : [],
  );
}

function fieldText([name, values]: Field): string {
  return `${name} ${listText(values)}`;
}

function conditionText({ key, values, notValues }: Condition): string {
  const not = notValues.length === 0 ? "" : `not ${listText(notValues)}`;
  const is = values.length === 0 ? "" : listText(values);
  return `${key} ${[is, not].filter((part) => part !== "").join(" and ")}`;
}

function listText(values: readonly string[]): string {
  const shown = values.slice(0, VALUES_MAX).join(", ");
  return values.length > VALUES_MAX ? `${shown}, … (${values.length} of them)` : shown;
}

/** A rule in one line. */
function said({ from, to, when }: AccessRule): string {
  const alternatives = (list: readonly (Source | Operation)[]): string =>
    list.map((one) => fieldsOf(one).map(fieldText).join(" and ")).join(", or ");
  const parts = [
    ...(from.length === 0 ? [] : [`from ${alternatives(from)}`]),
    ...(to.length === 0 ? [] : [`to ${alternatives(to)}`]),
    ...when.map((one) => `when ${conditionText(one)}`),
  ];
  return parts.length === 0 ? "everything" : parts.join("; ");
}
