/**
 * A JWT rule of a RequestAuthentication as it runs: whose tokens, by which keys, found where, and
 * what of a good one is passed on. Fields that it writes are never believed from outside.
 */
import type {
  JwtRule as JwtRuleMessage,
  RequestAuthentication,
} from "../../api/gen/mesh/v1/access_pb.ts";
import type { KeySet } from "../../policy/jwt/key-set.ts";
import type { VerifiedToken } from "../../policy/jwt/verified-token.ts";
import type { HeaderChange } from "../../policy/verdict.ts";
import { CookieSpot, HeaderSpot, ParameterSpot, type TokenSpot } from "./token-spot.ts";

/** Where keys come from: RemoteKeySet, or FixedKeys. */
export interface KeySource {
  readonly keys: KeySet | undefined;
  /** Why there are none, or no newer ones; "": nothing is wrong. */
  readonly problem: string;
  /** Keys are missing. True: a fetch is under way that may bring them. */
  seek(): boolean;
  /** See RemoteKeySet. */
  whenFetched(listener: () => void): (() => void) | undefined;
}

export interface JwtRule {
  /** "RequestAuthentication/default/jwt" */
  readonly object: string;
  /** "rule 0": counted as in the file. */
  readonly name: string;
  /** "rules/access.yaml:12"; "": not known. */
  readonly place: string;
  /** "": whoever signs with these keys. */
  readonly issuer: string;
  readonly audiences: readonly string[];
  readonly spaceDelimited: readonly string[];
  readonly source: KeySource;
  readonly forwards: boolean;
  /** "": not passed on. */
  readonly payloadHeader: string;
  readonly claimHeaders: readonly ClaimHeader[];
  readonly timeoutMs: number;
}

interface ClaimHeader {
  readonly header: string;
  readonly claim: string;
}

const TIMEOUT_MS = 5_000;
const DEFAULT_PREFIX = "Bearer ";

export function jwtRuleOf(
  policy: RequestAuthentication,
  index: number,
  source: KeySource,
): JwtRule {
  const rule = policy.rules[index]!;
  const { object = "", file = "", line = 0 } = policy.origin ?? {};
  return {
    ...{ object, name: `rule ${index}`, source },
    place: file === "" || line === 0 ? file : `${file}:${line}`,
    issuer: rule.issuer,
    audiences: rule.audiences,
    spaceDelimited: rule.spaceDelimitedClaims,
    forwards: rule.forwardOriginalToken,
    payloadHeader: rule.outputPayloadToHeader.toLowerCase(),
    claimHeaders: rule.outputClaimToHeaders.map(({ header, claim }) => ({
      ...{ header: header.toLowerCase(), claim },
    })),
    timeoutMs: timeoutOf(rule),
  };
}

export function timeoutOf({ timeoutMs }: JwtRuleMessage): number {
  return timeoutMs || TIMEOUT_MS;
}

/** Every place that it looks at, by a name that is the same for the same place. */
export function spotsOf(rule: JwtRuleMessage): ReadonlyMap<string, () => TokenSpot> {
  const spots = new Map<string, () => TokenSpot>();
  const header = (name: string, prefix: string): void =>
    void spots.set(`h:${name.toLowerCase()}:${prefix}`, () => new HeaderSpot(name, prefix));
  const parameter = (name: string): void =>
    void spots.set(`p:${name}`, () => new ParameterSpot(name));
  for (const { name, prefix } of rule.fromHeaders) header(name, prefix);
  for (const name of rule.fromParams) parameter(name);
  for (const name of rule.fromCookies) spots.set(`c:${name}`, () => new CookieSpot(name));
  if (spots.size > 0) return spots;
  header("authorization", DEFAULT_PREFIX);
  parameter("access_token");
  return spots;
}

/** Names of fields that rules write. */
export function outputsOf({ payloadHeader, claimHeaders }: JwtRule): readonly string[] {
  const names = claimHeaders.map(({ header }) => header);
  return payloadHeader === "" ? names : [payloadHeader, ...names];
}

/** What of a token goes on in fields of its own; those from outside are gone by then. */
export function outputOf(rule: JwtRule, token: VerifiedToken): readonly HeaderChange[] {
  const changes: HeaderChange[] = [];
  const put = (name: string, value: string): void =>
    void changes.push({ name, value, operation: "append" });
  if (rule.payloadHeader !== "") put(rule.payloadHeader, token.payload);
  for (const { header, claim } of rule.claimHeaders) {
    const value = claimText(token.claims, claim);
    if (value !== undefined) put(header, value);
  }
  return changes;
}

/**
 * A text, number or boolean; undefined: there is none of that name. "a.b" is the claim of that
 * name, or else b within a.
 */
function claimText(claims: Readonly<Record<string, unknown>>, claim: string): string | undefined {
  let value: unknown = claims;
  for (const name of Object.hasOwn(claims, claim) ? [claim] : claim.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, name))
      return undefined;
    value = (value as Readonly<Record<string, unknown>>)[name];
  }
  const isPlain = typeof value === "string" || typeof value === "number";
  return isPlain || typeof value === "boolean" ? String(value) : undefined;
}
