/** Which tokens of requests count. Spec table: manager 7. */
import type { WorkloadTarget } from "./workload-target.ts";

export interface RequestAuthentication extends WorkloadTarget {
  readonly rules: readonly JwtRule[];
}

/** Tokens of one issuer: where they are, by which keys they are verified, what becomes of them. */
export interface JwtRule {
  /** Empty: any. */
  readonly issuer: string;
  /** Empty: any. */
  readonly audiences: readonly string[];
  /** Both empty: found at the issuer. */
  readonly jwksUri: string;
  readonly jwks: string;
  /** These three empty: "authorization: Bearer …" and the parameter "access_token". */
  readonly fromHeaders: readonly { readonly name: string; readonly prefix: string }[];
  readonly fromParams: readonly string[];
  readonly fromCookies: readonly string[];
  /** Empty: not told. */
  readonly outputPayloadToHeader: string;
  readonly outputClaimToHeaders: readonly { readonly header: string; readonly claim: string }[];
  readonly forwardOriginalToken: boolean;
  /** Of fetching keys. */
  readonly timeoutMs: number;
  readonly spaceDelimitedClaims: readonly string[];
}
