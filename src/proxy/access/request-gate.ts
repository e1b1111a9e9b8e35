/**
 * What one engine asks about each request before it has a route: steps in their order, then the
 * rules of authorization. Made when a configuration is published; there is none where nothing is
 * asked, so that a mesh without rules pays a comparison.
 */
import type { Authorizer, PolicyRule } from "../../policy/authorization/authorizer.ts";
import { type Decision, decisionText } from "../../policy/authorization/decision.ts";
import type { RuleSet } from "../../policy/authorization/rule-set.ts";
import type { AccessRefusal, AccessStep } from "./access-step.ts";
import type { DenialKind } from "./denial-ring.ts";
import type { DenialWatch } from "./denial-watch.ts";
import { RequestFacts } from "./request-facts.ts";

export interface GateStep {
  readonly kind: DenialKind;
  readonly step: AccessStep;
  /** The step is asked where one of these matches; undefined: always. */
  readonly when: RuleSet<PolicyRule> | undefined;
}

export interface RequestGateParts {
  /** Nobody has said yet who may call: nobody may. */
  readonly isShut?: boolean;
  readonly steps: readonly GateStep[];
  /** Undefined: no rules. */
  readonly authorizer: Authorizer | undefined;
  readonly watch: DenialWatch;
}

export class RequestGate {
  readonly isShut: boolean;
  readonly steps: readonly GateStep[];
  readonly watch: DenialWatch;
  /** Of the request that is asked about; filled in by who asks. */
  readonly facts = new RequestFacts();
  readonly #authorizer: Authorizer | undefined;

  constructor({ isShut = false, steps, authorizer, watch }: RequestGateParts) {
    this.isShut = isShut;
    this.steps = steps;
    this.watch = watch;
    this.#authorizer = authorizer;
  }

  /** By rules alone. Undefined: it may go on. */
  decide(): Decision | undefined {
    const authorizer = this.#authorizer;
    if (authorizer === undefined) return undefined;
    const { facts } = this;
    const decision = authorizer.decide(facts);
    if (authorizer.watches) {
      const audited = authorizer.audit(facts);
      if (audited !== undefined) this.watch.audited(audited, facts);
      const shadow = authorizer.shadow(facts);
      if (shadow !== undefined && shadow.allowed !== decision.allowed)
        this.watch.wouldBe(shadow, facts);
    }
    return decision.allowed ? undefined : decision;
  }
}

/** "AuthorizationPolicy/default/deny-all rule 2": for the log alone. */
export function refusalText({ by }: AccessRefusal): string {
  return by.rule === "" ? by.object : `${by.object} ${by.rule}`;
}

export function refusedBy(decision: Decision): AccessRefusal["by"] {
  const { policy, rule, place, reason } = decision;
  return {
    object: policy === "" ? decisionText(decision) : policy,
    rule: rule === -1 ? "" : `rule ${rule}`,
    place,
    reason,
  };
}
