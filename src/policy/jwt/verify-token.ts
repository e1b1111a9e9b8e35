/**
 * Whether a token is to be believed: issuer, time, audience, then the signature, so that what costs
 * most comes last. Pure; a call with a signature takes 20 to 200 µs by algorithm, so whoever asks
 * for each request keeps what was verified.
 */
import { verify } from "node:crypto";
import { type CompactToken, parseToken } from "./compact-token.ts";
import { fitsAlgorithm, type KeySet, type TokenKey } from "./key-set.ts";
import { isTokenFault, type TokenFault, TokenFaults } from "./token-fault.ts";
import type { VerifiedToken } from "./verified-token.ts";

export interface TokenRules {
  /** "": whoever signs with these keys. */
  readonly issuer: string;
  /** One of them has to be among the token's; none: any will do. */
  readonly audiences: readonly string[];
  /** Since 1970. */
  readonly nowMs: number;
  /** Further claims whose text is a list divided by spaces. */
  readonly spaceDelimited?: readonly string[];
}

/** Clocks differ (RFC 7519 4.1.4). */
export const LEEWAY_MS = 60_000;
/** Keys that are tried for a token that names none: each costs a verification. */
const TRIES_MAX = 8;

export function verifyToken(
  text: string,
  keys: KeySet,
  rules: TokenRules,
): VerifiedToken | TokenFault {
  const token = parseToken(text);
  return isTokenFault(token) ? token : verifyParsed(token, keys, rules);
}

export function verifyParsed(
  token: CompactToken,
  keys: KeySet,
  rules: TokenRules,
): VerifiedToken | TokenFault {
  const fault = faultOfClaims(token, rules) ?? faultOfSignature(token, keys);
  return fault ?? verified(token, rules.spaceDelimited ?? []);
}

/** What can be said without a key; undefined: nothing against it. */
export function faultOfClaims(token: CompactToken, rules: TokenRules): TokenFault | undefined {
  const { audiences, nowMs } = rules;
  if (rules.issuer !== "" && token.issuer !== rules.issuer) return TokenFaults.unknownIssuer;
  if (nowMs + LEEWAY_MS < token.beginsMs) return TokenFaults.notYetValid;
  if (nowMs - LEEWAY_MS >= token.expiresMs) return TokenFaults.expired;
  if (audiences.length > 0 && !audiences.some((one) => token.audiences.includes(one)))
    return TokenFaults.wrongAudience;
  return undefined;
}

function faultOfSignature(token: CompactToken, { keys }: KeySet): TokenFault | undefined {
  let tries = 0;
  for (const key of keys) {
    if (!isMeant(key, token)) continue;
    if (tries++ === TRIES_MAX) break;
    if (isSignedBy(key, token)) return undefined;
  }
  return tries === 0 ? TokenFaults.unknownKey : TokenFaults.badSignature;
}

/** A key without a name may be meant by any token, and any key by a token that names none. */
function isMeant(key: TokenKey, { algorithm, keyId }: CompactToken): boolean {
  if (!fitsAlgorithm(key, algorithm)) return false;
  return key.id === undefined || keyId === undefined || key.id === keyId;
}

function isSignedBy({ key, modulusBytes }: TokenKey, token: CompactToken): boolean {
  const { algorithm, signed, signature } = token;
  if (signature.length !== (algorithm.signatureBytes || modulusBytes)) return false;
  return verify(algorithm.hash, signed, { key, ...algorithm.options }, signature);
}

function verified(token: CompactToken, further: readonly string[]): VerifiedToken {
  const { issuer, subject, audiences, presenter, claims, payload, expiresMs } = token;
  const principal = issuer !== "" && subject !== "" ? `${issuer}/${subject}` : "";
  const spaceDelimited = spaceDelimitedClaims(further);
  return Object.freeze({
    ...{ issuer, subject, principal, audiences, presenter },
    ...{ claims, spaceDelimited, payload, expiresMs },
  });
}

/** With those that always are (RFC 8693 4.2 for "scope"), each once, sorted. */
export function spaceDelimitedClaims(further: readonly string[]): readonly string[] {
  return [...new Set([...further, "permission", "scope"])].sort();
}
