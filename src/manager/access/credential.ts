/** What the doors of the manager need of its certificate authority and of its tokens. */
import type { PeerCertificate, Role } from "../../api/principal.ts";

export interface AccessTokens {
  /** Undefined: unknown, revoked or expired. */
  find(token: string): { readonly name: string; readonly role: Role } | undefined;
}

/** What is known of workloads' certificates beside what they say. */
export interface WorkloadStanding {
  /** "reviews.default": the services that certificates of this identity were issued for. */
  servicesOf(identity: string): readonly string[];
  /** What it was issued on. */
  grantOf(identity: string, certificate: PeerCertificate): WorkloadGrant;
  /** Id of the join token that it goes back to; "": none. */
  originOf(certificate: PeerCertificate): string;
  /** Why it counts no more though it has not expired, as a sentence; undefined: it does. */
  lapseOf(certificate: PeerCertificate): string | undefined;
  /** Calls back when the last may be another. */
  onChange(listener: () => void): () => void;
}

export interface WorkloadGrant {
  /** "gateway": a gateway, or a sidecar. */
  readonly mode: "sidecar" | "gateway";
  /** These and no others; none: whichever the workload says. */
  readonly labels: Readonly<Record<string, string>>;
}
