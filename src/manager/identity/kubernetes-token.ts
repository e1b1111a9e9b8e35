/**
 * Tokens of Kubernetes ServiceAccounts: the API server is asked whose one is (TokenReview,
 * authentication.k8s.io/v1), for our audience, so that a token meant for the API server itself, or
 * for anybody else, proves nothing here.
 */
import { readFileSync } from "node:fs";
import { BoundedFetch } from "../../adapter/bounded-fetch.ts";
import type { Clock } from "../../core/clock.ts";
import type { SpiffeId } from "../../core/spiffe-id.ts";
import type { TrustSource } from "../../io/tls-settings.ts";
import { accountId } from "./account-claim.ts";
import { type ClaimResult, claimed, refused } from "./claim.ts";
import { SIDECAR } from "./grant.ts";
import type { KubernetesFlags } from "./identity-flags.ts";
import type { JwtAuthenticator } from "./issuance.ts";

export interface KubernetesOptions extends KubernetesFlags {
  readonly clock: Clock;
  readonly trustDomain: string;
  /** Of the API server. */
  readonly roots: () => TrustSource;
}

const PATH = "/apis/authentication.k8s.io/v1/tokenreviews";
const LIMITS = { bytesMax: 65_536, timeoutMs: 5_000 };
const NOT_TAKEN = "the token is of no service account that the API server knows";
/** Asked at once; further ones are told to come again. */
const RUNNING_MAX = 64;

export class KubernetesToken implements JwtAuthenticator {
  readonly #options: KubernetesOptions;
  readonly #fetch: BoundedFetch;
  #running = 0;

  constructor(options: KubernetesOptions) {
    this.#options = options;
    this.#fetch = new BoundedFetch(options.clock, { ...LIMITS, roots: options.roots });
  }

  /** Its issuers have many names; whoever is none of the others' is asked about here. */
  isFor(_issuer: string): boolean {
    return true;
  }

  async claimOf(jwt: string): Promise<ClaimResult> {
    if (this.#running >= RUNNING_MAX)
      return refused("exhausted", "too many tokens are asked about");
    this.#running++;
    try {
      return await this.#review(jwt);
    } finally {
      this.#running--;
    }
  }

  async #review(jwt: string): Promise<ClaimResult> {
    const { api, tokenFile, audience } = this.#options;
    const unavailable = (why: string): ClaimResult =>
      refused("unavailable", "the API server that judges such tokens does not answer", why);
    let own: string;
    try {
      own = readFileSync(tokenFile, "utf8").trim();
    } catch (error) {
      return unavailable(`${tokenFile}: ${error instanceof Error ? error.message : error}`);
    }
    const review = {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenReview",
      spec: { token: jwt, audiences: [audience] },
    };
    const answer = await this.#fetch.text(api.replace(/\/+$/, "") + PATH, {
      type: "application/json",
      body: JSON.stringify(review),
      headers: { authorization: `Bearer ${own}`, accept: "application/json" },
    });
    if (answer.at === "failed") return unavailable(`TokenReview: ${answer.why}`);
    return this.#judge(answer.body);
  }

  #judge(text: string): ClaimResult {
    const status = statusOf(text);
    if (status === undefined)
      return refused("unavailable", "the API server's answer cannot be read");
    const { audience, trustDomain } = this.#options;
    const reason = (why: string): ClaimResult => refused("unauthenticated", NOT_TAKEN, why);
    if (status.authenticated !== true) return reason(`TokenReview: ${status.error || "no"}`);
    // An API server that knows nothing of audiences names none.
    if (!status.audiences.includes(audience))
      return reason(`TokenReview: it is not for ${audience}`);
    const id: SpiffeId | undefined = accountId(status.username, trustDomain);
    if (id === undefined) return reason(`TokenReview: ${status.username} is no service account`);
    const by = `service account ${id.namespace}/${id.account}`;
    // Whoever makes pods in a namespace puts them into whatever service of it he likes.
    return claimed({ id, services: [], isForNamespace: true, grant: SIDECAR, by, origin: "" });
  }
}

interface ReviewStatus {
  readonly authenticated: unknown;
  readonly username: string;
  readonly audiences: readonly unknown[];
  readonly error: string;
}

/** Undefined: it is no TokenReview. */
function statusOf(text: string): ReviewStatus | undefined {
  const status = memberOf(parseJson(text), "status");
  if (status === undefined) return undefined;
  const audiences = memberOf(status, "audiences");
  return {
    authenticated: memberOf(status, "authenticated"),
    username: textOf(memberOf(memberOf(status, "user"), "username")),
    audiences: Array.isArray(audiences) ? audiences : [],
    error: textOf(memberOf(status, "error")).slice(0, 200),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function memberOf(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
  return Reflect.get(value, name);
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
