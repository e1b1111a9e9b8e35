/**
 * Policy with every name followed and every expression compiled: what the dispatcher runs on.
 * Frozen; made by resolvePolicy from a PolicySet, published by one assignment.
 */
import type { AttributeBag } from "../attribute/bag.ts";
import type { Fault } from "../attribute/fault.ts";
import type { Value } from "../attribute/value.ts";
import type { Vocabulary } from "../attribute/vocabulary.ts";
import type { Position } from "../core/problem.ts";
import type { Expression } from "../expression/expression.ts";
import type { FailPolicy } from "../model/handler.ts";
import type { HttpApiSpec } from "../model/http-api-spec.ts";
import type { RandomSampling, RateSampling } from "../model/policy-rule.ts";
import type { QuotaSpec, SpecBinding } from "../model/quota-spec.ts";
import type { Configured } from "./adapter.ts";
import type { AnyInstance, TemplateName, Variety } from "./template.ts";

/** What answers, not yet opened. */
export interface ResolvedHandler {
  /** "name.kind.namespace" */
  readonly name: string;
  /** The adapter's own name. */
  readonly adapter: string;
  readonly configured: Configured;
  /** Equal where an opened handler may be kept, with its counters and quotas. */
  readonly signature: string;
  readonly failPolicy: FailPolicy | undefined;
  /** Of one call; undefined or 0: a second. */
  readonly timeoutMs?: number;
}

export interface ResolvedInstance {
  /** "name.kind.namespace" */
  readonly name: string;
  /** "name": what a quota is asked for by. */
  readonly shortName: string;
  readonly template: TemplateName;
  readonly variety: Variety;
  /** Slots of all that it reads. */
  readonly reads: ReadonlySet<number>;
  /** Of one exchange; a Fault where a field has no value. */
  build(bag: AttributeBag): AnyInstance | Fault;
  /** Of a generator: what its output is bound to. */
  readonly bindings: readonly Binding[];
}

/** An attribute that a generator's output gives a value to, if the exchange does not have it. */
export interface Binding {
  readonly slot: number;
  evaluate(output: Readonly<Record<string, Value>>, bag: AttributeBag): Value | Fault | undefined;
}

export interface ResolvedAction {
  /** As header operations call it; may be empty. */
  readonly name: string;
  readonly handler: ResolvedHandler;
  /** All of one variety. */
  readonly variety: Variety;
  readonly instances: readonly ResolvedInstance[];
  /** What each request that matches takes of its quotas without a QuotaSpec; 0: nothing. */
  readonly charge: number;
}

export interface ResolvedHeaderOperation {
  readonly name: string;
  readonly operation: "replace" | "remove" | "append";
  /** One for each value; a value that fails or is empty is skipped. May read `outputs`. */
  readonly values: readonly Expression[];
}

/** What a check said beyond yes and no, as header operations read it: `action.output.field`. */
export interface ActionOutput {
  /** Of the bag that header operations are evaluated on: beyond those of the vocabulary. */
  readonly slot: number;
  /** Where in `actions` it is. */
  readonly action: number;
  /** As the template has it. */
  readonly field: string;
}

export type ResolvedRandomSampling = Omit<RandomSampling, "attribute"> & {
  /** A number of parts in `denominator` that counts instead of `share`. */
  readonly attribute: Expression | undefined;
};

export type ResolvedSampling =
  | ResolvedRandomSampling
  | RateSampling
  | { readonly by: "both"; readonly random: ResolvedRandomSampling; readonly rate: RateSampling };

export interface ResolvedRule {
  /** "name.rule.namespace" */
  readonly name: string;
  readonly namespace: string;
  readonly origin: Position;
  /** Undefined: always. */
  readonly match: Expression | undefined;
  readonly failPolicy: FailPolicy;
  readonly sampling: ResolvedSampling | undefined;
  /** In the order of the rule. An action of several varieties is one for each. */
  readonly actions: readonly ResolvedAction[];
  readonly requestHeaders: readonly ResolvedHeaderOperation[];
  readonly responseHeaders: readonly ResolvedHeaderOperation[];
  /** Those that its header operations read. */
  readonly outputs: readonly ActionOutput[];
  /** "mixer": all of its actions have to be asked there; "both": some. */
  readonly runsAt: "proxy" | "mixer" | "both";
}

export interface ResolvedPolicy {
  readonly vocabulary: Vocabulary;
  readonly handlers: readonly ResolvedHandler[];
  /** Sorted by name. */
  readonly rules: readonly ResolvedRule[];
  readonly quotaSpecs: readonly BoundSpec<QuotaSpec>[];
  readonly httpApiSpecs: readonly BoundSpec<HttpApiSpec>[];
}

export interface BoundSpec<Spec> {
  readonly name: string;
  readonly services: SpecBinding["services"];
  readonly spec: Spec;
}
