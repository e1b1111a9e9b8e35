/** What a join token proves: the identity and the service that it was made for. */
import { parseSpiffeId } from "../../core/spiffe-id.ts";
import { type ClaimResult, claimed, type Refused, refused } from "./claim.ts";
import type { JoinTokens } from "./join-tokens.ts";

/** The same whatever was wrong: whoever guesses learns nothing. */
const NOT_TAKEN =
  "the join token is unknown, revoked, expired or used up; `mesh ctl token list` shows which";

export function joinTokenClaim(tokens: JoinTokens, text: string): ClaimResult {
  const verdict = tokens.judge(text);
  if (verdict.at === "refused")
    return refused("unauthenticated", NOT_TAKEN, named(verdict.id, verdict.why));
  const { id, identity, service, mode, labels } = verdict.token;
  const spiffeId = parseSpiffeId(identity);
  if (spiffeId === undefined)
    return refused("unauthenticated", NOT_TAKEN, named(id, "its identity is none"));
  return claimed({
    id: spiffeId,
    services: service === "" ? [] : [service],
    grant: { mode, labels },
    by: `join token ${id}`,
    origin: id,
    spend: () => tokens.spend(id),
  });
}

/** For one that somebody else spent meanwhile. */
export function spentMeanwhile(by: string): Refused {
  return refused("unauthenticated", NOT_TAKEN, `${by}: it was used up meanwhile`);
}

function named(id: string, why: string): string {
  return id === "" ? `join token: ${why}` : `join token ${id}: ${why}`;
}
