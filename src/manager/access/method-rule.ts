/** Who may call which method of the manager's API: all of them, one row each. */
import type { Principal, Role } from "../../api/principal.ts";
import { hasRole } from "../../api/principal.ts";

export type MethodRule =
  /** Who is not known yet, too: the method itself judges what it is given. */
  | "anybody"
  /** A workload, about itself only: the method compares. */
  | "workload"
  /** People with at least this role. */
  | Role
  /** The same, and with `dry_run` already those who read. */
  | "operator, or viewer to try";

const SERVICES: Readonly<Record<string, Readonly<Record<string, MethodRule>>>> = {
  ConfigService: {
    Apply: "operator, or viewer to try",
    Get: "viewer",
    List: "viewer",
    Delete: "operator, or viewer to try",
    History: "viewer",
    Rollback: "operator, or viewer to try",
  },
  StatusService: {
    ListServices: "viewer",
    ListProxies: "viewer",
    ListProblems: "viewer",
    GetProxyConfig: "viewer",
    GetVersion: "viewer",
  },
  DiscoveryService: { Watch: "workload", Acknowledge: "workload" },
  RegistryService: { Register: "workload", Renew: "workload", Withdraw: "workload" },
  IdentityService: { IssueCertificate: "anybody", GetTrustBundle: "anybody" },
  IdentityAdminService: {
    CreateJoinToken: "admin",
    ListJoinTokens: "viewer",
    RevokeJoinToken: "admin",
    GetAuthority: "viewer",
    RotateRoot: "admin",
    ListIssued: "viewer",
    CreateAccessToken: "admin",
    ListAccessTokens: "admin",
    RevokeAccessToken: "admin",
    ListAudit: "admin",
  },
};

/** By "mesh.v1.ConfigService/Apply". */
export const methodRules: ReadonlyMap<string, MethodRule> = new Map(
  Object.entries(SERVICES).flatMap(([service, methods]) =>
    Object.entries(methods).map(([name, rule]) => [`mesh.v1.${service}/${name}`, rule] as const),
  ),
);

/** Of a method without a row nobody may call it. */
export function isAllowed(
  rule: MethodRule | undefined,
  principal: Principal,
  isDryRun: boolean,
): boolean {
  switch (rule) {
    case undefined:
      return false;
    case "anybody":
      return true;
    case "workload":
      return principal.kind === "workload" || principal.kind === "local";
    case "operator, or viewer to try":
      return hasRole(principal, isDryRun ? "viewer" : "operator");
    default:
      return hasRole(principal, rule);
  }
}
