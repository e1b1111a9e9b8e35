/** Tokens of an issuer that the operator named (OpenID Connect): its keys are fetched and kept. */
import { RemoteKeySet } from "../../adapter/remote-key-set.ts";
import type { Clock } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import type { Random } from "../../core/random.ts";
import type { TrustSource } from "../../io/tls-settings.ts";
import { verifyToken } from "../../policy/jwt/verify-token.ts";
import type { MetricScope } from "../../telemetry/metrics.ts";
import { accountId } from "./account-claim.ts";
import { type ClaimResult, claimed, refused } from "./claim.ts";
import { SIDECAR } from "./grant.ts";
import type { OidcFlags } from "./identity-flags.ts";
import type { JwtAuthenticator } from "./issuance.ts";

export interface OidcOptions extends OidcFlags {
  readonly trustDomain: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: MetricScope;
  /** Of the issuer's server; the system's unless told. */
  readonly roots?: () => TrustSource;
}

const TIMEOUT_MS = 5_000;
const NOT_TAKEN = "the token is none that its issuer vouches for here";

export class OidcToken implements JwtAuthenticator {
  readonly #options: OidcOptions;
  readonly #keys: RemoteKeySet;

  /** Fetches keys from now on. */
  constructor(options: OidcOptions) {
    const { clock, random, log, metrics, issuer, roots } = options;
    this.#options = options;
    this.#keys = new RemoteKeySet({
      ...{ place: { issuer }, timeoutMs: TIMEOUT_MS, clock, random, log, metrics },
      ...(roots === undefined ? {} : { roots }),
    });
    this.#keys.start();
  }

  isFor(issuer: string): boolean {
    return issuer === this.#options.issuer;
  }

  async claimOf(jwt: string): Promise<ClaimResult> {
    const first = this.#verify(jwt);
    // A key that is not there yet may be a new one.
    if (first !== "wants keys") return first;
    if (this.#keys.seek())
      await new Promise<void>((resolve) => {
        if (this.#keys.whenFetched(resolve) === undefined) resolve();
      });
    const second = this.#verify(jwt);
    if (second !== "wants keys") return second;
    if (this.#keys.keys !== undefined)
      return refused("unauthenticated", NOT_TAKEN, "it is signed with an unknown key");
    const why = this.#keys.problem || "no keys were fetched";
    return refused("unavailable", "the keys of the token's issuer are not known yet", why);
  }

  close(): void {
    this.#keys.close();
  }

  #verify(jwt: string): ClaimResult | "wants keys" {
    const { issuer, audience, claim, clock, trustDomain } = this.#options;
    const { keys } = this.#keys;
    if (keys === undefined) return "wants keys";
    const rules = { issuer, audiences: [audience], nowMs: clock.wallMs() };
    const token = verifyToken(jwt, keys, rules);
    if ("fault" in token) {
      if (token.fault === "unknownKey") return "wants keys";
      return refused("unauthenticated", NOT_TAKEN, token.text);
    }
    if (!Number.isFinite(token.expiresMs))
      return refused("unauthenticated", NOT_TAKEN, "it never expires");
    const name = Object.hasOwn(token.claims, claim) ? token.claims[claim] : undefined;
    const id = typeof name === "string" ? accountId(name, trustDomain) : undefined;
    if (id === undefined) return refused("unauthenticated", NOT_TAKEN, `${claim} is no workload`);
    const by = `token of ${issuer} for ${id.namespace}/${id.account}`;
    return claimed({ id, services: [], grant: SIDECAR, by, origin: "" });
  }
}
