/**
 * From a request for a certificate to one, or to a refusal:
 *
 *   rate ─▶ request read ─▶ credential ─▶ is it for whom is asked ─▶ names in the request ─▶ rate
 *        ─▶ one transaction: spend, sign, record
 *
 * Whom a certificate is for is what the credential proves, and nothing else.
 */
import type { Caller } from "../../api/principal.ts";
import { whoText } from "../../api/principal.ts";
import type { Clock } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import { formatSpiffeId } from "../../core/spiffe-id.ts";
import { type Authority, AuthorityFault, type SignedLeaf } from "./authority.ts";
import { callerClaim, type IdentityWish, serviceName } from "./caller-claim.ts";
import {
  type Claim,
  type ClaimResult,
  claimed,
  type Refusal,
  type RefusalKind,
  type Refused,
  refused,
} from "./claim.ts";
import { GATEWAYS_NEED, type Grant, SIDECAR } from "./grant.ts";
import type { IssuedLog } from "./issued-log.ts";
import type { JoinTokens } from "./join-tokens.ts";
import { RateLimit } from "./rate-limit.ts";
import { judgeNames } from "./request-names.ts";
import { readSigningRequest, type SigningRequest } from "./signing-request.ts";
import type { Standing } from "./standing.ts";
import { joinTokenClaim, spentMeanwhile } from "./token-claim.ts";

/** Whoever can say what a JWT proves. */
export interface JwtAuthenticator {
  /** By its issuer, which nobody has verified yet. */
  isFor(issuer: string): boolean;
  claimOf(jwt: string): Promise<ClaimResult>;
}

/** A part of the manager's audit log. */
export interface IssueAudit {
  record(event: {
    readonly who: string;
    readonly address: string;
    readonly action: string;
    readonly object: string;
    readonly detail: string;
    readonly allowed: boolean;
  }): void;
}

export interface IssuanceOptions {
  readonly authority: Authority;
  readonly tokens: JoinTokens;
  readonly issued: IssuedLog;
  readonly standing: Standing;
  readonly jwts: readonly JwtAuthenticator[];
  readonly audit: IssueAudit;
  readonly clock: Clock;
  readonly log: Log;
}

export interface IssueCall extends IdentityWish {
  readonly csrPem: string;
  readonly credential:
    | { readonly kind: "join token" | "jwt"; readonly text: string }
    | { readonly kind: "caller" };
  /** 0: as long as the authority gives. */
  readonly lifetimeMs: number;
  readonly caller: Caller;
}

export type IssueResult = { readonly at: "issued"; readonly leaf: SignedLeaf } | Refused;

const JWT_CHARS_MAX = 16_384;
/** Of one address, that were refused. */
const FAILURES = { burst: 30, perSecond: 0.5 };
/** Of one identity: as many copies of a workload as may start at once. */
const ISSUES = { burst: 500, perSecond: 10 };

export class Issuance {
  readonly counts: Record<RefusalKind | "issued", number> = {
    issued: 0,
    unauthenticated: 0,
    denied: 0,
    improper: 0,
    exhausted: 0,
    unavailable: 0,
  };
  readonly #options: IssuanceOptions;
  readonly #failures: RateLimit;
  readonly #issues: RateLimit;

  constructor(options: IssuanceOptions) {
    this.#options = options;
    const { clock } = options;
    this.#failures = new RateLimit({ clock, ...FAILURES });
    this.#issues = new RateLimit({ clock, ...ISSUES });
  }

  async issue(call: IssueCall): Promise<IssueResult> {
    const result = await this.#issue(call);
    if (result.at === "refused") this.#refused(call, result.refusal);
    return result;
  }

  async #issue(call: IssueCall): Promise<IssueResult> {
    const isKnown = call.caller.principal.kind !== "anonymous";
    if (!isKnown && !this.#failures.allows(hostOf(call.caller)))
      return refused("exhausted", "too many refused requests came from this address");
    const read = readSigningRequest(call.csrPem);
    if (read.at === "refused")
      return refused("improper", `the request for a certificate: ${read.why}`);
    const proved = await this.#claimOf(call);
    if (proved.at === "refused") return proved;
    return this.#issueTo(proved.claim, read.request, call);
  }

  async #claimOf(call: IssueCall): Promise<ClaimResult> {
    const { credential, caller } = call;
    const { authority, tokens, issued, jwts } = this.#options;
    const { trustDomain } = authority.options;
    switch (credential.kind) {
      case "join token":
        return joinTokenClaim(tokens, credential.text);
      case "jwt": {
        const issuer = credential.text.length > JWT_CHARS_MAX ? "" : issuerOf(credential.text);
        const one = jwts.find((candidate) => candidate.isFor(issuer));
        if (issuer !== "" && one !== undefined) return await one.claimOf(credential.text);
        return refused("unauthenticated", "no issuer of such tokens is known here");
      }
      case "caller": {
        const result = callerClaim(caller.principal, call, trustDomain);
        if (result.at === "refused" || caller.principal.kind !== "workload") return result;
        const { origin, ...grant } = issued.grantOf(caller.principal.certificate.serial) ?? {
          ...SIDECAR,
          origin: "",
        };
        if (origin !== "" && tokens.isRevoked(origin))
          return refused("denied", `join token ${origin}, by which it came, was revoked`);
        const services = issued.servicesOf(formatSpiffeId(result.claim.id));
        return claimed({ ...result.claim, services, grant, origin });
      }
      default:
        return credential satisfies never;
    }
  }

  #issueTo(claim: Claim, request: SigningRequest, call: IssueCall): IssueResult {
    const wrong = foreignWish(claim, call) ?? this.#foreignMode(claim, call);
    if (wrong !== undefined) return refused("denied", wrong);
    const names = judgeNames(request, claim.id);
    if (names.at !== "fits")
      return refused(names.at === "improper" ? "improper" : "denied", names.why);
    const identity = formatSpiffeId(claim.id);
    if (!this.#issues.take(identity))
      return refused("exhausted", `too many certificates are asked for ${identity}`);
    try {
      return this.#sign(claim, request, call);
    } catch (error) {
      if (!(error instanceof AuthorityFault)) throw error;
      return refused("unavailable", "nothing can be signed now", error.message);
    }
  }

  #foreignMode({ id, grant }: Claim, { mode }: IssueCall): string | undefined {
    const identity = formatSpiffeId(id);
    if (mode !== "gateway" || grant.mode === "gateway") return undefined;
    if (this.#options.standing.mayBeGateway(identity)) return undefined;
    return `the credential is of ${identity}, and no gateway's: ${GATEWAYS_NEED}`;
  }

  #sign(claim: Claim, request: SigningRequest, call: IssueCall): IssueResult {
    const { authority, issued, clock, log, audit } = this.#options;
    const identity = formatSpiffeId(claim.id);
    const { address } = call.caller;
    const { publicKey } = request;
    const lifetimeMs = call.lifetimeMs || Number.POSITIVE_INFINITY;
    const leaf = authority.options.store.transaction(() => {
      if (claim.spend?.() === false) return undefined;
      const names = [{ kind: "uri", value: identity }] as const;
      const signed = authority.sign({ publicKey, names, lifetimeMs });
      const { serial, notAfterMs } = signed;
      const record = { serial, identity, notAfterMs, issuedMs: clock.wallMs(), by: claim.by };
      const services = call.service === "" ? claim.services : [serviceName(call.service)];
      const { origin } = claim;
      issued.record({ ...record, address }, { services, origin, ...grantFor(claim, call) });
      return signed;
    });
    if (leaf === undefined) return spentMeanwhile(claim.by);
    this.counts.issued++;
    log.info("certificate issued", { identity, serial: leaf.serial, by: claim.by, address });
    audit.record({
      who: claim.spend === undefined ? whoText(call.caller.principal) : claim.by,
      address,
      action: "certificate issued",
      object: identity,
      detail: `serial ${leaf.serial}, by ${claim.by}`,
      allowed: true,
    });
    return { at: "issued", leaf };
  }

  #refused({ caller, service, account }: IssueCall, { kind, reason }: Refusal): void {
    const { audit, log } = this.#options;
    this.counts[kind]++;
    if (caller.principal.kind === "anonymous" && kind !== "unavailable")
      this.#failures.take(hostOf(caller));
    const object = account === "" ? service : account;
    const who = whoText(caller.principal);
    log.warn("certificate refused", { who, address: caller.address, object, reason });
    const { address } = caller;
    const detail = reason;
    audit.record({ who, address, action: "certificate refused", object, detail, allowed: false });
  }
}

/** What a renewal goes by: no more than was asked for. */
function grantFor({ grant }: Claim, { mode }: IssueCall): Grant {
  return mode === "sidecar" ? { ...grant, mode } : grant;
}

/** What is asked for beside what the credential proves, as a sentence; undefined: nothing. */
function foreignWish(claim: Claim, wish: IdentityWish): string | undefined {
  const { id, services, isForNamespace = false } = claim;
  const { namespace, account } = id;
  if (wish.account !== "" && wish.account !== `${namespace}/${account}`)
    return `the credential is of service account ${namespace}/${account}, not ${wish.account}`;
  if (wish.service === "") return undefined;
  const service = serviceName(wish.service);
  const own = [`${account}.${namespace}`.toLowerCase(), ...services.map(serviceName)];
  const isInside = service.endsWith(`.${namespace.toLowerCase()}`);
  if (isInside && (isForNamespace || own.includes(service))) return undefined;
  return `the credential is of ${formatSpiffeId(id)}, which does not stand for ${wish.service}`;
}

/** "10.0.0.7" of "10.0.0.7:51234". */
function hostOf({ address }: Caller): string {
  return address.replace(/:\d+$/, "");
}

/** Of a JWT that nobody has verified: only to know whom to ask. "": it is none. */
function issuerOf(jwt: string): string {
  const [, payload = "", signature] = jwt.split(".");
  if (signature === undefined) return "";
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, "base64url").toString("utf8"));
    const issuer = typeof claims === "object" && claims !== null && "iss" in claims && claims.iss;
    return typeof issuer === "string" ? issuer : "";
  } catch {
    return "";
  }
}
