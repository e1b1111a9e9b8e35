/** What a credential proves, and how it is refused. */
import type { SpiffeId } from "../../core/spiffe-id.ts";
import type { Grant } from "./grant.ts";

/** Somebody who may have a certificate of one identity. */
export interface Claim {
  readonly id: SpiffeId;
  /** Services that it may stand for, beside the one named as its account: "reviews.default". */
  readonly services: readonly string[];
  /** Or for any of its namespace. */
  readonly isForNamespace?: boolean;
  /** What else its certificate is good for. */
  readonly grant: Grant;
  /** For records: "join token 3f9a…", "service account default/reviews". */
  readonly by: string;
  /** Id of the join token that it began with, be it certificates ago; or empty. */
  readonly origin: string;
  /** Within the transaction that issues; false: somebody else was quicker. */
  readonly spend?: () => boolean;
}

/** Which status of gRPC it becomes. */
export type RefusalKind = "unauthenticated" | "denied" | "improper" | "exhausted" | "unavailable";

export interface Refusal {
  readonly kind: RefusalKind;
  /** For the caller: what is needed, never what exactly was wrong with a secret. */
  readonly sentence: string;
  /** For log and audit. */
  readonly reason: string;
}

export interface Refused {
  readonly at: "refused";
  readonly refusal: Refusal;
}

export type ClaimResult = { readonly at: "claim"; readonly claim: Claim } | Refused;

export function claimed(claim: Claim): ClaimResult {
  return { at: "claim", claim };
}

/** `reason` is the sentence unless told. */
export function refused(kind: RefusalKind, sentence: string, reason: string = sentence): Refused {
  return { at: "refused", refusal: { kind, sentence, reason } };
}
