/**
 * Rules of packet filtering as values: a table's chains, what a rule looks at, what it decides.
 * iptables-text.ts and nft-text.ts write the same rules for either tool.
 */
import type { Family } from "./capture-options.ts";

/** In the order in which the kernel asks them. */
export type Table = "raw" | "mangle" | "nat";

/** `PREROUTING` and `OUTPUT` are reached from the kernel's hooks; the others from these two. */
export type Chain =
  | "PREROUTING"
  | "OUTPUT"
  | "INBOUND"
  | "REDIRECT"
  | "IN_REDIRECT"
  | "PROXY_OUTPUT"
  | "OUTPUT_DNS"
  | "DIVERT"
  | "TPROXY"
  | "DROP";

export const hooks: readonly Chain[] = ["PREROUTING", "OUTPUT"];

export interface Not<T> {
  readonly not: T;
}

export interface Owner {
  readonly of: "user" | "group";
  /** A number or a name. */
  readonly id: string;
  readonly isNot?: true;
}

/** All that is given must hold. */
export interface Match {
  readonly protocol?: "tcp" | "udp";
  readonly from?: string;
  readonly to?: string | Not<string>;
  readonly fromPort?: number;
  readonly toPort?: number | Not<readonly number[]>;
  readonly inInterface?: string;
  readonly outInterface?: string;
  readonly owners?: readonly Owner[];
  readonly mark?: number | Not<number>;
  readonly connectionMark?: number;
  readonly state?: "established" | "invalid";
}

export type Verdict =
  /** Back to the calling chain when the chain called is at its end. */
  | { readonly at: "jump"; readonly chain: Chain }
  /** Back to where the calling chain would go. */
  | { readonly at: "goto"; readonly chain: Chain }
  | { readonly at: "return" }
  | { readonly at: "accept" }
  | { readonly at: "drop" }
  | { readonly at: "redirect"; readonly port: number }
  | { readonly at: "tproxy"; readonly port: number; readonly mark: number }
  | { readonly at: "mark"; readonly mark: number }
  | { readonly at: "save-mark" }
  | { readonly at: "restore-mark" }
  | { readonly at: "zone"; readonly zone: number };

export interface Rule {
  readonly table: Table;
  readonly chain: Chain;
  readonly match: Match;
  readonly verdict: Verdict;
}

/** Rules of one family; within a chain the order counts. */
export interface RuleSet {
  readonly family: Family;
  readonly rules: readonly Rule[];
}

export const tables: readonly Table[] = ["raw", "mangle", "nat"];

/** Each chain of a table that has rules, in order of appearance. */
export function chainsOf({ rules }: RuleSet, table: Table): Map<Chain, readonly Rule[]> {
  return Map.groupBy(
    rules.filter((rule) => rule.table === table),
    ({ chain }) => chain,
  );
}
