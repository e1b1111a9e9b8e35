/**
 * Policy as Istio 0.1 declared it: for a subject, rules with aspects, each of a kind that some
 * adapter provides. Spec table: mixer 3.5.
 */
import type { Position } from "../core/problem.ts";
import type { ExpressionText } from "./instance.ts";

export const aspectKinds = [
  "access-logs",
  "application-logs",
  "attributes",
  "denials",
  "lists",
  "metrics",
  "quotas",
] as const;

export type AspectKind = (typeof aspectKinds)[number];

export interface ServiceConfig {
  /** "global", or the end of host names: among subjects of one scope the most specific counts. */
  readonly scope: string;
  /** "global", "default.svc.cluster.local", "reviews.default.svc.cluster.local". */
  readonly subject: string;
  readonly rules: readonly AspectRule[];
}

export interface AspectRule {
  /** Undefined: always. With that of the rules around it. */
  readonly selector: ExpressionText | undefined;
  readonly aspects: readonly Aspect[];
  readonly rules: readonly AspectRule[];
}

export type Expressions = Readonly<Record<string, ExpressionText>>;

/** What a descriptor describes, in the words of one rule. */
export interface DescribedValue {
  readonly descriptor: string;
  readonly labels: Expressions;
  readonly at: Position;
}

export interface QuotaAspect extends DescribedValue {
  readonly maxAmount: number;
  /** 0: until it is freed. */
  readonly expirationMs: number;
}

export interface MetricAspect extends DescribedValue {
  readonly value: ExpressionText;
}

export interface LogAspect extends DescribedValue {
  readonly severity?: ExpressionText;
  readonly timestamp?: ExpressionText;
  readonly templateExpressions: Expressions;
}

interface Common {
  /** "default" */
  readonly adapter: string;
  readonly at: Position;
}

export type Aspect = Common &
  (
    | { readonly kind: "denials" }
    | {
        readonly kind: "lists";
        readonly blacklist: boolean;
        readonly check: ExpressionText;
      }
    | { readonly kind: "quotas"; readonly quotas: readonly QuotaAspect[] }
    | { readonly kind: "metrics"; readonly metrics: readonly MetricAspect[] }
    | {
        readonly kind: "access-logs" | "application-logs";
        readonly logName: string;
        readonly logs: readonly LogAspect[];
      }
    | {
        readonly kind: "attributes";
        readonly inputs: Expressions;
        /** Attribute ─▶ the adapter's name of it. */
        readonly bindings: Readonly<Record<string, string>>;
      }
  );
