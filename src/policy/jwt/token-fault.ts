/**
 * Why a token, or a set of keys, is not believed: constant rows, compared by identity. The texts
 * are those that Envoy answers with, since operators search for them; they say nothing that the
 * bearer does not know.
 */
const texts = {
  // The token itself.
  tooLong: "Jwt is too long",
  notCompact: "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections",
  headerBase64: "Jwt header is an invalid Base64url encoded",
  headerJson: "Jwt header is an invalid JSON",
  noAlgorithm: "Jwt header [alg] field is required and must be a string",
  unsupportedAlgorithm: "Jwt header [alg] is not supported",
  keyIdNotText: "Jwt header [kid] field is not a string",
  criticalExtension: "Jwt header [crit] is not supported",
  payloadBase64: "Jwt payload is an invalid Base64url encoded",
  payloadJson: "Jwt payload is an invalid JSON",
  issuerNotText: "Jwt payload [iss] field is not a string",
  subjectNotText: "Jwt payload [sub] field is not a string",
  audienceNotText: "Jwt payload [aud] field is not a string or string list",
  presenterNotText: "Jwt payload [azp] field is not a string",
  expiryNotNumber: "Jwt payload [exp] field is not an integer",
  beginNotNumber: "Jwt payload [nbf] field is not an integer",
  issueTimeNotNumber: "Jwt payload [iat] field is not an integer",
  signatureBase64: "Jwt signature is an invalid Base64url encoded",
  severalTokens: "Found multiple Jwt tokens",
  // What it says.
  unknownIssuer: "Jwt issuer is not configured",
  wrongAudience: "Audiences in Jwt are not allowed",
  notYetValid: "Jwt not yet valid",
  expired: "Jwt is expired",
  // Its signature.
  noKeys: "Jwks remote fetch is failed",
  unknownKey: "Jwks doesn't have key to match kid or alg from Jwt",
  badSignature: "Jwt verification fails",
  // A set of keys.
  keySetJson: "Jwks is an invalid JSON",
  keySetWithoutKeys: "Jwks does not have [keys] field",
  keySetNotList: "[keys] in Jwks is not an array",
  keySetTooLarge: "Jwks has too many keys",
  keySetEmpty: "Jwks doesn't have any valid public key",
} as const;

export type TokenFaultName = keyof typeof texts;

export interface TokenFault {
  readonly fault: TokenFaultName;
  readonly text: string;
}

export const TokenFaults: Readonly<Record<TokenFaultName, TokenFault>> = Object.fromEntries(
  Object.entries(texts).map(([fault, text]) => [fault, Object.freeze({ fault, text })]),
) as Record<TokenFaultName, TokenFault>;

/** Tells a fault from what was asked for. */
export function isTokenFault<T extends object>(result: T | TokenFault): result is TokenFault {
  return "fault" in result;
}
