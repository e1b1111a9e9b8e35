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

export interface ServingCredential {
  /** PEM: the leaf first, without the root. */
  readonly chainPem: string;
  readonly keyPem: string;
  /** PEM, one certificate each: all that are trusted now. */
  readonly rootPems: readonly string[];
}

export interface ServingCertificate {
  current(): ServingCredential;
  /** At every change of the leaf or of the roots. Returns what ends it. */
  onChange(listener: () => void): () => void;
}

/** Of a manager that is no authority: nobody has a token or certificate, nothing is served. */
export const noIdentity: AccessTokens &
  WorkloadServices & {
    readonly tokens: AccessTokens;
    readonly serving: ServingCertificate;
    readonly trustDomains: () => readonly string[];
  } = {
  find: () => undefined,
  servicesOf: () => [],
  trustDomains: () => [],
  tokens: { find: () => undefined },
  serving: {
    current: () => ({ chainPem: "", keyPem: "", rootPems: [] }),
    onChange: () => () => {},
  },
};
