/** What the doors of the manager need of its certificate authority and of its tokens. */
import type { Role } from "../../api/principal.ts";

export interface AccessTokens {
  /** Undefined: unknown, revoked or expired. */
  find(token: string): { readonly name: string; readonly role: Role } | undefined;
}

export interface WorkloadServices {
  /** "reviews.default": the services that certificates of this identity were issued for. */
  servicesOf(identity: string): readonly string[];
}
