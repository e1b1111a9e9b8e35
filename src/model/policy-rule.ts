/** When handlers are asked, and what they are told. Spec table: mixer 3.1. */
import type { Position } from "../core/problem.ts";
import type { FailPolicy, Handler } from "./handler.ts";
import type { ExpressionText, Instance } from "./instance.ts";

/** A name as it was written: "name", "name.kind", "name.namespace", "name.kind.namespace". */
export interface Reference {
  readonly name: string;
  readonly at: Position;
}

export interface Action {
  /** What header operations call it by; may be empty. */
  readonly name: string;
  /** Short form: the handler itself in place of its name, which then is `inlineName`. */
  readonly handler: Reference | Handler;
  /** The same. */
  readonly instances: readonly (Reference | Instance)[];
  /** Each request that matches takes this many of its quotas, QuotaSpec or not; 0: none. */
  readonly charge: number;
  readonly at: Position;
}

/**
 * The name of what a rule has in place of a reference, of the kind "handler" or "instance":
 * "limit[0]" of its first action, "limit[0][1]" of that action's second instance.
 */
export function inlineName(rule: string, action: number, instance?: number): string {
  return instance === undefined ? `${rule}[${action}]` : `${rule}[${action}][${instance}]`;
}

export interface HeaderOperation {
  readonly name: string;
  readonly values: readonly ExpressionText[];
  readonly operation: "replace" | "remove" | "append";
  readonly at: Position;
}

export interface RandomSampling {
  readonly by: "random";
  /** Parts in `denominator` that count instead of `share`; no number: nothing passes. */
  readonly attribute?: ExpressionText;
  /** 0 to 1. */
  readonly share: number;
  readonly denominator: 100 | 10_000 | 1_000_000;
  /** By chance; else by the request's x-request-id where it has one, so that rules agree. */
  readonly independent: boolean;
}

export interface RateSampling {
  readonly by: "rate";
  readonly windowMs: number;
  /** So many in each window pass, and then one of `rate`. */
  readonly unsampledMax: number;
  readonly rate: number;
}

/** What it is by; of both, what chance takes is counted by rate. */
export type Sampling =
  | RandomSampling
  | RateSampling
  | { readonly by: "both"; readonly random: RandomSampling; readonly rate: RateSampling };

export interface PolicyRule {
  /** Undefined: always. */
  readonly match: ExpressionText | undefined;
  readonly actions: readonly Action[];
  readonly requestHeaders: readonly HeaderOperation[];
  readonly responseHeaders: readonly HeaderOperation[];
  readonly sampling?: Sampling;
  /** Of its checks and quotas; "closed" unless the author says otherwise. */
  readonly failPolicy: FailPolicy;
}
