/**
 * All policies of authorization of one workload, compiled: who may call it.
 *
 *   CUSTOM: ask ─▶ DENY matches: no ─▶ there is no ALLOW: yes ─▶ one matches: yes, else no
 *
 * AUDIT is beside that: it decides nothing. Policies of a dry run decide nothing either; what would
 * be if they did is told by shadow(). Nothing is allocated by a question.
 */

import type { Decision } from "./decision.ts";
import type { AuthorizationFacts } from "./facts.ts";
import { RuleSet, type SetRule } from "./rule-set.ts";

export interface PolicyRule extends SetRule {
  readonly decision: Decision;
  readonly isDryRun: boolean;
}

/** Rules whose requests are shown to somebody else. */
export interface CustomRules {
  readonly provider: string;
  readonly rules: RuleSet<PolicyRule>;
}

export interface AuthorizerParts {
  /** By rising name of the provider. */
  readonly custom: readonly CustomRules[];
  readonly deny: readonly PolicyRule[];
  readonly allow: readonly PolicyRule[];
  readonly audit: readonly PolicyRule[];
  /** There are ALLOW policies, though their rules may match nothing: then that is not allowed. */
  readonly unmatched: Decision | undefined;
  /** The same, where policies of a dry run count. */
  readonly unmatchedShadow: Decision | undefined;
}

const free: Decision = {
  allowed: true,
  policy: "",
  rule: -1,
  place: "",
  reason: "no policy of ALLOW concerns it, so whatever is not denied is allowed",
};

export class Authorizer {
  readonly custom: readonly CustomRules[];
  /** Some rule decides nothing and is to be told of. */
  readonly watches: boolean;
  readonly #hasShadow: boolean;
  readonly #deny: RuleSet<PolicyRule>;
  readonly #allow: RuleSet<PolicyRule>;
  readonly #audit: RuleSet<PolicyRule>;
  readonly #shadowDeny: RuleSet<PolicyRule>;
  readonly #shadowAllow: RuleSet<PolicyRule>;
  readonly #unmatched: Decision | undefined;
  readonly #unmatchedShadow: Decision | undefined;

  constructor({ custom, deny, allow, audit, unmatched, unmatchedShadow }: AuthorizerParts) {
    const inForce = (rules: readonly PolicyRule[]) => rules.filter(({ isDryRun }) => !isDryRun);
    this.custom = custom;
    this.#deny = new RuleSet(inForce(deny));
    this.#allow = new RuleSet(inForce(allow));
    this.#audit = new RuleSet(audit);
    this.#unmatched = unmatched;
    this.#unmatchedShadow = unmatchedShadow;
    this.#hasShadow =
      unmatched !== unmatchedShadow || [...deny, ...allow].some(({ isDryRun }) => isDryRun);
    this.#shadowDeny = new RuleSet(this.#hasShadow ? deny : []);
    this.#shadowAllow = new RuleSet(this.#hasShadow ? allow : []);
    this.watches = this.#hasShadow || audit.length > 0;
  }

  /** It refuses nothing and asks nobody. */
  get isEmpty(): boolean {
    const { custom, watches } = this;
    const decides = !this.#deny.isEmpty || this.#unmatched !== undefined;
    return custom.length === 0 && !watches && !decides;
  }

  /** Who is asked besides is not counted here: see `custom`. */
  decide(facts: AuthorizationFacts): Decision {
    const denied = this.#deny.find(facts);
    if (denied !== undefined) return denied.decision;
    if (this.#unmatched === undefined) return free;
    return this.#allow.find(facts)?.decision ?? this.#unmatched;
  }

  /** As if policies of a dry run were in force; undefined: there are none. */
  shadow(facts: AuthorizationFacts): Decision | undefined {
    if (!this.#hasShadow) return undefined;
    const denied = this.#shadowDeny.find(facts);
    if (denied !== undefined) return denied.decision;
    if (this.#unmatchedShadow === undefined) return free;
    return this.#shadowAllow.find(facts)?.decision ?? this.#unmatchedShadow;
  }

  /** The rule of AUDIT that it is to be told of. */
  audit(facts: AuthorizationFacts): Decision | undefined {
    return this.#audit.find(facts)?.decision;
  }
}
