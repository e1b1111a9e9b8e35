/**
 * Who may do what. Texts are as they were written; what a proxy is told has namespaces and trust
 * domains filled in. Spec table: manager 7.
 */
import type { WorkloadTarget } from "./workload-target.ts";

export interface AuthorizationPolicy extends WorkloadTarget {
  readonly action: "ALLOW" | "DENY" | "AUDIT" | "CUSTOM";
  /** Of CUSTOM: an extension provider of the mesh. */
  readonly provider: string;
  /** None: matches nothing. */
  readonly rules: readonly AccessRule[];
}

/** One of `from` (none: anybody), one of `to` (none: anything) and all of `when`. */
export interface AccessRule {
  readonly from: readonly AccessSource[];
  readonly to: readonly AccessOperation[];
  readonly when: readonly AccessCondition[];
}

export const sourceFields = [
  "principals",
  "notPrincipals",
  "requestPrincipals",
  "notRequestPrincipals",
  "namespaces",
  "notNamespaces",
  "ipBlocks",
  "notIpBlocks",
  "remoteIpBlocks",
  "notRemoteIpBlocks",
  "serviceAccounts",
  "notServiceAccounts",
  "trustDomains",
  "notTrustDomains",
] as const;

export const operationFields = [
  "hosts",
  "notHosts",
  "ports",
  "notPorts",
  "methods",
  "notMethods",
  "paths",
  "notPaths",
] as const;

type Texts = readonly string[];
/** All fields that are there hold: one of the texts, or of a `not` field none. */
export type AccessSource = { readonly [K in (typeof sourceFields)[number]]?: Texts };
export type AccessOperation = { readonly [K in (typeof operationFields)[number]]?: Texts };

export interface AccessCondition {
  /** "request.headers[x-token]", "source.ip", … */
  readonly key: string;
  readonly values: Texts;
  readonly notValues: Texts;
}

/** Counted and logged, not enforced. */
const dryRunAnnotation = "istio.io/dry-run";

/** As its annotation says: true and false as strconv.ParseBool reads them; undefined: neither. */
export function dryRunOf(annotations: Readonly<Record<string, string>>): boolean | undefined {
  const said = annotations[dryRunAnnotation];
  if (said === undefined) return false;
  if (/^(1|t|T|TRUE|true|True)$/.test(said)) return true;
  return /^(0|f|F|FALSE|false|False)$/.test(said) ? false : undefined;
}

export function hasDryRun(annotations: Readonly<Record<string, string>>): boolean {
  return Object.hasOwn(annotations, dryRunAnnotation);
}
