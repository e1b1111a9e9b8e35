/** What the doors of the manager need of its certificate authority and of its tokens. */
import type { Role } from "../../api/principal.ts";

export interface AccessTokens {
  /** Undefined: unknown, revoked or expired. */
  verify(token: string): { readonly name: string; readonly role: Role } | undefined;
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

/** Of a manager that is no authority: nobody has a token or a certificate, and nothing is served. */
export const noIdentity: AccessTokens &
  WorkloadServices & {
    readonly tokens: AccessTokens;
    readonly serving: ServingCertificate;
    readonly trustDomains: () => readonly string[];
  } = {
  verify: () => undefined,
  servicesOf: () => [],
  trustDomains: () => [],
  tokens: { verify: () => undefined },
  serving: {
    current: () => {
      throw new Error("there is no certificate authority to serve TLS with");
    },
    onChange: () => () => {},
  },
};
