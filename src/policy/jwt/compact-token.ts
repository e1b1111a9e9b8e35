/**
 * A token in JWS's compact form (RFC 7515 7.1), read and not yet believed:
 *
 *   base64url(header) . base64url(payload) . base64url(signature)
 *
 * Strictly, since every octet is a stranger's: bounded in length and depth, three parts, each name
 * once, no header field that would have to be understood. Keys and addresses of keys within the
 * header (jwk, jku, x5c, x5u) are never looked at.
 */
import { decodeBase64Url } from "./base64url.ts";
import { type JsonObject, memberOf, parseStrictJson } from "./strict-json.ts";
import { type TokenAlgorithm, tokenAlgorithms } from "./token-algorithm.ts";
import { type TokenFault, TokenFaults } from "./token-fault.ts";

/** Characters of a token; more than any head that peers of ours take leaves room for. */
export const TOKEN_CHARS_MAX = 16 * 1024;
const DEPTH_MAX = 32;
/** Of a time in seconds: far from where numbers lose their units. */
const SECONDS_MAX = 1e12;

export interface CompactToken {
  readonly algorithm: TokenAlgorithm;
  /** "kid"; undefined: the token names no key. */
  readonly keyId: string | undefined;
  /** "iss"; empty: it names nobody. */
  readonly issuer: string;
  readonly subject: string;
  readonly audiences: readonly string[];
  readonly presenter: string;
  /** ms since 1970; `Infinity`: never. */
  readonly expiresMs: number;
  /** ms since 1970; 0: at once. */
  readonly beginsMs: number;
  readonly claims: JsonObject;
  /** The middle part as it came. */
  readonly payload: string;
  /** What was signed: the first two parts and the dot between. */
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
}

interface Header {
  readonly algorithm: TokenAlgorithm;
  readonly keyId: string | undefined;
}

export function parseToken(text: string): CompactToken | TokenFault {
  if (text.length > TOKEN_CHARS_MAX) return TokenFaults.tooLong;
  const first = text.indexOf(".");
  const second = text.indexOf(".", first + 1);
  if (first === -1 || second === -1 || text.indexOf(".", second + 1) !== -1)
    return TokenFaults.notCompact;
  const header = readHeader(decodeBase64Url(text, 0, first));
  if ("fault" in header) return header;
  const octets = decodeBase64Url(text, first + 1, second);
  if (octets === undefined) return TokenFaults.payloadBase64;
  const claims = parseStrictJson(octets, DEPTH_MAX);
  if (claims === undefined) return TokenFaults.payloadJson;
  const known = readClaims(claims);
  if ("fault" in known) return known;
  const signature = decodeBase64Url(text, second + 1);
  if (signature === undefined) return TokenFaults.signatureBase64;
  const payload = text.slice(first + 1, second);
  const signed = Buffer.from(text.slice(0, second), "latin1");
  return { ...header, ...known, claims, payload, signed, signature };
}

function readHeader(octets: Uint8Array | undefined): Header | TokenFault {
  if (octets === undefined) return TokenFaults.headerBase64;
  const header = parseStrictJson(octets, DEPTH_MAX);
  if (header === undefined) return TokenFaults.headerJson;
  const alg = memberOf(header, "alg");
  const kid = memberOf(header, "kid");
  if (typeof alg !== "string") return TokenFaults.noAlgorithm;
  const algorithm = tokenAlgorithms.get(alg);
  if (algorithm === undefined) return TokenFaults.unsupportedAlgorithm;
  if (memberOf(header, "crit") !== undefined) return TokenFaults.criticalExtension;
  if (kid !== undefined && typeof kid !== "string") return TokenFaults.keyIdNotText;
  return { algorithm, keyId: kid };
}

type Known = Pick<
  CompactToken,
  "issuer" | "subject" | "audiences" | "presenter" | "expiresMs" | "beginsMs"
>;

const names = ["iss", "sub", "azp", "aud", "exp", "nbf", "iat"] as const;

/** The claims that every token may have (RFC 7519 4.1), each of the type that it has to be. */
function readClaims(claims: JsonObject): Known | TokenFault {
  const [iss = "", sub = "", azp = "", aud = [], exp, nbf, iat] = names.map((name) =>
    memberOf(claims, name),
  );
  if (typeof iss !== "string") return TokenFaults.issuerNotText;
  if (typeof sub !== "string") return TokenFaults.subjectNotText;
  if (typeof azp !== "string") return TokenFaults.presenterNotText;
  const audiences: unknown = typeof aud === "string" ? [aud] : aud;
  if (!isTextList(audiences)) return TokenFaults.audienceNotText;
  if (!isTime(exp)) return TokenFaults.expiryNotNumber;
  if (!isTime(nbf)) return TokenFaults.beginNotNumber;
  if (!isTime(iat)) return TokenFaults.issueTimeNotNumber;
  return {
    ...{ issuer: iss, subject: sub, presenter: azp, audiences },
    expiresMs: exp === undefined ? Number.POSITIVE_INFINITY : exp * 1_000,
    beginsMs: nbf === undefined ? 0 : nbf * 1_000,
  };
}

function isTextList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

function isTime(value: unknown): value is number | undefined {
  if (value === undefined) return true;
  return typeof value === "number" && value >= 0 && value <= SECONDS_MAX;
}
