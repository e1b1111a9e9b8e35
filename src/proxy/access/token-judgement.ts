/** What becomes of tokens of a request that are not known yet, by the rules of their places. */
import { type CompactToken, parseToken } from "../../policy/jwt/compact-token.ts";
import { type TokenFault, TokenFaults } from "../../policy/jwt/token-fault.ts";
import type { VerifiedToken } from "../../policy/jwt/verified-token.ts";
import { faultOfClaims, LEEWAY_MS, verifyParsed } from "../../policy/jwt/verify-token.ts";
import type { HeaderChange } from "../../policy/verdict.ts";
import { textOf } from "../policy/head-text.ts";
import { type JwtRule, type KeySource, outputOf } from "./jwt-rule.ts";
import type { TokenCache } from "./token-cache.ts";
import type { TokenSpot } from "./token-spot.ts";

/** A place, and the rules that look at it. */
export interface WatchedSpot {
  readonly spot: TokenSpot;
  readonly rules: readonly JwtRule[];
  readonly cache: TokenCache<GoodToken>;
}

export interface GoodToken {
  readonly rule: JwtRule;
  readonly token: VerifiedToken;
  /** Fields that it is passed on in. */
  readonly output: readonly HeaderChange[];
}

/** A token as it was found, for when the head is gone. */
export interface FoundToken {
  readonly watched: WatchedSpot;
  readonly octets: Uint8Array;
  /** What takes it out of the request. */
  readonly removal: HeaderChange;
}

/** A token that is not believed. */
export interface BadToken {
  readonly fault: TokenFault;
  /** Whose rule says so. */
  readonly rule: JwtRule;
  /** In plain words, for operators. */
  readonly reason: string;
}

export type Judgement = GoodToken | BadToken | { readonly waitsFor: KeySource };

/** By the first rule that believes it. What is good is kept in the cache of its place. */
export function judge({ watched, octets }: FoundToken, wallMs: number): Judgement {
  const token = parseToken(textOf(octets, 0, octets.length));
  const { rules, cache, spot } = watched;
  const [first] = rules as readonly [JwtRule, ...JwtRule[]];
  if ("fault" in token)
    return { fault: token, rule: first, reason: `${token.text}, in ${spot.name}` };
  let bad: BadToken | undefined;
  let waits: Judgement | undefined;
  for (const rule of rules) {
    if (rule.issuer !== "" && rule.issuer !== token.issuer) continue;
    const judgement = judgeBy(rule, token, wallMs);
    if ("fault" in judgement) bad ??= judgement;
    else if ("waitsFor" in judgement) waits ??= judgement;
    else {
      keep(cache, octets, judgement);
      return judgement;
    }
  }
  const fault = TokenFaults.unknownIssuer;
  return waits ?? bad ?? { fault, rule: first, reason: `${fault.text}, in ${spot.name}` };
}

function judgeBy(rule: JwtRule, token: CompactToken, nowMs: number): Judgement {
  const { source, issuer, audiences, spaceDelimited } = rule;
  const rules = { issuer, audiences, spaceDelimited, nowMs };
  const fault = faultOfClaims(token, rules);
  if (fault !== undefined) return { fault, rule, reason: reasonOf(fault, token, nowMs) };
  const { keys } = source;
  if (keys === undefined) {
    if (source.seek()) return { waitsFor: source };
    const none = TokenFaults.noKeys;
    return { fault: none, rule, reason: `${none.text}: ${source.problem || "not fetched yet"}` };
  }
  const verified = verifyParsed(token, keys, rules);
  if (!("fault" in verified)) return { rule, token: verified, output: outputOf(rule, verified) };
  if (verified === TokenFaults.unknownKey && source.seek()) return { waitsFor: source };
  return { fault: verified, rule, reason: reasonOf(verified, token, nowMs) };
}

function keep(cache: TokenCache<GoodToken>, octets: Uint8Array, value: GoodToken): void {
  const { source } = value.rule;
  const { keys } = source;
  if (keys === undefined) return;
  cache.keep({ octets, keys, source, untilMs: value.token.expiresMs + LEEWAY_MS, value });
}

/** Times are the bearer's own, and no secret of anybody. */
function reasonOf(fault: TokenFault, token: CompactToken, nowMs: number): string {
  const seconds = (ms: number): string => `${Math.round(ms / 1_000)} s`;
  if (fault === TokenFaults.expired)
    return `the token expired ${seconds(nowMs - token.expiresMs)} ago`;
  if (fault === TokenFaults.notYetValid)
    return `the token is valid in ${seconds(token.beginsMs - nowMs)}`;
  return fault.text;
}
