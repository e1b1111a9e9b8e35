/**
 * Roles of rbac.istio.io (0.5 to 1.5): who may do what with services of a namespace, and where that
 * is asked at all. What AuthorizationPolicy replaced.
 */
import type { AccessCondition, AccessOperation, AccessSource } from "./authorization-policy.ts";

export interface ServiceRole {
  readonly rules: readonly RoleRule[];
}

export interface RoleRule {
  /** "reviews.default.svc.cluster.local", "reviews*", "*" */
  readonly services: readonly string[];
  /** Undefined: anything. */
  readonly operation: AccessOperation | undefined;
  readonly when: readonly AccessCondition[];
  /** Of the workload: "labels[version]", "namespace", "name". */
  readonly workload: readonly { readonly key: string; readonly values: readonly string[] }[];
  /** Asks for what nobody here knows: it never holds. */
  readonly isUnknown: boolean;
}

export interface ServiceRoleBinding {
  /** In its namespace. */
  readonly role: string;
  readonly subjects: readonly RoleSubject[];
  readonly dryRun: boolean;
}

export interface RoleSubject {
  /** Undefined: anybody. */
  readonly source: AccessSource | undefined;
  readonly when: readonly AccessCondition[];
  readonly isUnknown: boolean;
}

/** RbacConfig and ClusterRbacConfig, of which the latter counts. */
export interface RbacConfig {
  readonly mode: "OFF" | "ON" | "ON_WITH_INCLUSION" | "ON_WITH_EXCLUSION";
  /** Of the mode: what is asked, or what is not. */
  readonly services: readonly string[];
  readonly namespaces: readonly string[];
  readonly dryRun: boolean;
}
