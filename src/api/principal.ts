/**
 * Who calls the control plane. The door that took the connection finds out (from the peer's
 * certificate, a token, or whose socket it is), and handlers read it by `callerOf`:
 *
 *   workload   a client certificate of our authority, in force now
 *   person     an access token, or a client certificate that was given a role
 *   local      plaintext on loopback, from a process of our own user or of root
 *   anonymous  everybody else; also whoever was not asked, as in a transport in memory
 */
import { type ContextValues, createContextKey, createContextValues } from "@connectrpc/connect";

/** Each may do what those before it may. */
export const ROLES = ["viewer", "operator", "admin"] as const;
export type Role = (typeof ROLES)[number];

/** What was shown and verified in the handshake. */
export interface PeerCertificate {
  /** Hexadecimal in upper case, as node:crypto has it. */
  readonly serial: string;
  /** Of the DER form, hexadecimal in lower case. */
  readonly sha256: string;
  readonly notAfterMs: number;
  /** SHA-256 of the root that it leads to, hexadecimal in lower case. */
  readonly root: string;
}

export type Principal =
  | {
      readonly kind: "workload";
      /** "spiffe://cluster.local/ns/default/sa/reviews" */
      readonly identity: string;
      readonly certificate: PeerCertificate;
    }
  | { readonly kind: "person"; readonly name: string; readonly role: Role }
  | { readonly kind: "local"; readonly uid: number }
  | {
      readonly kind: "anonymous";
      /** Why no more is known, for log and audit only: "the certificate expired". Or empty. */
      readonly reason: string;
    };

export interface Caller {
  readonly principal: Principal;
  /** "10.0.0.7:51234", "[::1]:51234"; empty: in this process. */
  readonly address: string;
  /** Who that is by now: what he showed may have expired, or been revoked. Absent: the same. */
  readonly again?: () => Principal;
}

export const NOBODY: Caller = { principal: { kind: "anonymous", reason: "" }, address: "" };

const callerKey = createContextKey<Caller>(NOBODY, { description: "who calls" });

/** For handlers, with their context, and interceptors, with `request.contextValues`. */
export function callerOf(values: ContextValues): Caller {
  return values.get(callerKey);
}

/** For doors. */
export function callerValues(caller: Caller): ContextValues {
  return createContextValues().set(callerKey, caller);
}

/** In log and audit: "ann", "spiffe://…", "loopback", "anonymous". */
export function whoText(principal: Principal): string {
  switch (principal.kind) {
    case "workload":
      return principal.identity;
    case "person":
      return principal.name;
    case "local":
      return "loopback";
    case "anonymous":
      return "anonymous";
    default:
      return principal satisfies never;
  }
}

export function hasRole(principal: Principal, role: Role): boolean {
  if (principal.kind === "local") return true;
  if (principal.kind !== "person") return false;
  return ROLES.indexOf(principal.role) >= ROLES.indexOf(role);
}
