/** Policies as a workload is sent them ─▶ what its proxy asks. */
import {
  AuthorizationPolicy_Action as Action,
  type AuthorizationPolicy,
} from "../../api/gen/mesh/v1/access_pb.ts";
import type { Problem } from "../../core/problem.ts";
import { Authorizer, type CustomRules, type PolicyRule } from "./authorizer.ts";
import { compileRule } from "./compile-rule.ts";
import { type Decision, placeOf } from "./decision.ts";
import { RuleSet } from "./rule-set.ts";

export interface AuthorizationContext {
  /** Of the mesh: its own first, then the aliases. */
  readonly trustDomains: readonly string[];
  /** Names of those that may be asked. */
  readonly providers: ReadonlySet<string>;
}

export interface CompiledAuthorization {
  /** Undefined: nothing is asked of requests. */
  readonly http: Authorizer | undefined;
  /** The same, of connections that are passed on as they are. */
  readonly tcp: Authorizer | undefined;
  readonly problems: readonly Problem[];
}

export function compileAuthorization(
  policies: readonly AuthorizationPolicy[],
  context: AuthorizationContext,
): CompiledAuthorization {
  const problems: Problem[] = policies.filter(isUnknown).map(unknownAction);
  const http = compileFor(policies, { ...context, isTcp: false, problems });
  // What is wrong is wrong for both.
  const tcp = compileFor(policies, { ...context, isTcp: true, problems: [] });
  return {
    http: http.isEmpty ? undefined : http,
    tcp: tcp.isEmpty ? undefined : tcp,
    problems,
  };
}

/** Of a newer manager: whatever it means, to pass over it would let somebody in. */
function isUnknown({ action }: AuthorizationPolicy): boolean {
  return reasons[action] === undefined;
}

function unknownAction({ action, origin }: AuthorizationPolicy): Problem {
  const { object = "", file = "", line = 0, column = 0 } = origin ?? {};
  const position = { file: file === "" ? object : file, line, column };
  const message = `action ${action} is not known here`;
  return { severity: "error", position, path: "authorization_policies.action", message };
}

interface Compilation extends AuthorizationContext {
  readonly isTcp: boolean;
  readonly problems: Problem[];
}

function compileFor(
  policies: readonly AuthorizationPolicy[],
  compilation: Compilation,
): Authorizer {
  const byAction = (action: Action): readonly AuthorizationPolicy[] =>
    policies.filter((policy) => actionOf(policy) === action);
  const rulesOf = (action: Action): readonly PolicyRule[] =>
    byAction(action).flatMap((policy) => compilePolicy(policy, compilation));
  const allows = byAction(Action.ALLOW);
  const asked = byAction(Action.CUSTOM).filter(({ dryRun }) => !dryRun);
  const { custom, deny } = compileCustom(asked, compilation);
  return new Authorizer({
    custom,
    deny: [...deny, ...rulesOf(Action.DENY)],
    allow: rulesOf(Action.ALLOW),
    audit: rulesOf(Action.AUDIT),
    unmatched: unmatchedOf(allows.filter(({ dryRun }) => !dryRun)),
    unmatchedShadow: unmatchedOf(allows),
  });
}

function actionOf({ action }: AuthorizationPolicy): Action {
  return action === Action.UNSPECIFIED ? Action.ALLOW : action;
}

/** Whom nobody can ask is refused: the provider is not known, or it is no request. */
function compileCustom(
  policies: readonly AuthorizationPolicy[],
  compilation: Compilation,
): { readonly custom: readonly CustomRules[]; readonly deny: readonly PolicyRule[] } {
  const byProvider = new Map<string, PolicyRule[]>();
  const deny: PolicyRule[] = [];
  for (const policy of policies) {
    const { provider } = policy;
    const rules = compilePolicy(policy, compilation);
    if (compilation.isTcp)
      deny.push(...rules.map((rule) => refusing(rule, "connections cannot be shown to it")));
    else if (!compilation.providers.has(provider))
      deny.push(...rules.map((rule) => refusing(rule, `nobody is known as "${provider}"`)));
    else byProvider.set(provider, [...(byProvider.get(provider) ?? []), ...rules]);
  }
  const custom = [...byProvider]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([provider, rules]) => ({ provider, rules: new RuleSet(rules) }));
  return { custom, deny };
}

function refusing(rule: PolicyRule, reason: string): PolicyRule {
  return { ...rule, isDryRun: false, decision: { ...rule.decision, allowed: false, reason } };
}

function compilePolicy(policy: AuthorizationPolicy, compilation: Compilation): PolicyRule[] {
  const { origin, dryRun, rules } = policy;
  const action = actionOf(policy);
  const { file = "", line = 0, column = 0 } = origin ?? {};
  return rules.flatMap((rule, index) => {
    const test = compileRule(rule, {
      ...{ action, isTcp: compilation.isTcp, trustDomains: compilation.trustDomains },
      problem: (path, message) => {
        const position = { file: file === "" ? (origin?.object ?? "") : file, line, column };
        const where = `authorization_policies.rules[${index}].${path}`;
        compilation.problems.push({ severity: "error", position, path: where, message });
      },
    });
    if (test === undefined) return [];
    return [{ ...test, isDryRun: dryRun, decision: decisionOf(policy, action, index) }];
  });
}

const reasons: Readonly<Record<Action, string>> = {
  [Action.UNSPECIFIED]: "",
  [Action.ALLOW]: "the rule allows it",
  [Action.DENY]: "the rule denies it",
  [Action.AUDIT]: "the rule wants to be told of it",
  [Action.CUSTOM]: "somebody else is asked about it",
};

function decisionOf({ origin }: AuthorizationPolicy, action: Action, rule: number): Decision {
  return {
    allowed: action !== Action.DENY,
    policy: origin?.object ?? "",
    rule,
    place: placeOf(origin),
    reason: reasons[action],
  };
}

const NAMED_MAX = 3;

/** Of policies of ALLOW none of whose rules match. Undefined: there are none. */
function unmatchedOf(policies: readonly AuthorizationPolicy[]): Decision | undefined {
  const [first] = policies;
  if (first === undefined) return undefined;
  const decision = decisionOf(first, Action.DENY, -1);
  const names = policies.map(({ origin }) => origin?.object ?? "");
  const more = names.length > NAMED_MAX ? ` and ${names.length - NAMED_MAX} more` : "";
  const named = `${names.slice(0, NAMED_MAX).join(", ")}${more}`;
  const isBare = policies.length === 1 && first.rules.length === 0;
  const reason = isBare
    ? `${named} has no rule, and so allows nothing`
    : `no rule of ${named} allows it`;
  return { ...decision, reason };
}
