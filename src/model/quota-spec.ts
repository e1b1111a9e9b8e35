/** Which quotas a request takes from, and how much. Spec table: mixer 2.7. */
import type { Position } from "../core/problem.ts";

/** All clauses of one must hold. Spec table: mixer 2.7. */
export type AttributeMatch = Readonly<Record<string, StringMatch>>;

export type StringMatch =
  | { readonly by: "exact" | "prefix"; readonly text: string }
  /** Of the whole value. */
  | { readonly by: "regex"; readonly pattern: string };

export interface QuotaSpec {
  readonly rules: readonly {
    /** One must hold; none: always. */
    readonly match: readonly AttributeMatch[];
    readonly quotas: readonly QuotaCharge[];
  }[];
}

export interface QuotaCharge {
  /** The short name of an instance. */
  readonly quota: string;
  readonly charge: number;
}

/** A spec that services are bound to, and those services. */
export interface SpecBinding {
  /** Full host names; "*": all. */
  readonly services: readonly string[];
  readonly specs: readonly { readonly name: string; readonly namespace: string; at: Position }[];
}
