/**
 * What a JSON Web Token says once its signature, issuer, audience and time hold: a plain, frozen
 * value that rules of authorization, attributes and headers are read from. Nothing unverified ever
 * has this type.
 */

export interface VerifiedToken {
  /** "iss" */
  readonly issuer: string;
  /** "sub"; empty where the token has none. */
  readonly subject: string;
  /** "issuer/subject", as `requestPrincipals` name it; empty where one of the two is missing. */
  readonly principal: string;
  /** "aud": one text or a list of them in the token, always a list here. */
  readonly audiences: readonly string[];
  /** "azp": to whom the token was issued; empty where the token has none. */
  readonly presenter: string;
  /** Everything that the token claims, as JSON has it: names only by `Object.hasOwn`. */
  readonly claims: Readonly<Record<string, unknown>>;
  /** Outermost claims whose text is a list divided by spaces: "scope" and "permission" always. */
  readonly spaceDelimited: readonly string[];
  /** The middle part as it was received: base64url of JSON. */
  readonly payload: string;
  /** "exp" in ms since 1970; `Infinity` where the token has none. */
  readonly expiresMs: number;
}

/**
 * The texts of a claim, as conditions compare them: a text (divided by spaces where the claim is of
 * those), a list of texts, a number or a boolean by its JSON form. Undefined: there is no such
 * claim, or it is an object.
 *
 * `path`: names from the outside in: ["realm_access", "roles"].
 */
export function claimTexts(
  token: VerifiedToken,
  path: readonly string[],
): readonly string[] | undefined {
  let value: unknown = token.claims;
  for (const name of path) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
    if (!Object.hasOwn(value, name)) return undefined;
    value = (value as Readonly<Record<string, unknown>>)[name];
  }
  if (typeof value === "string")
    return path.length === 1 && token.spaceDelimited.includes(path[0]!)
      ? value.split(" ").filter((word) => word !== "")
      : [value];
  if (Array.isArray(value))
    return value.filter((item) => typeof item !== "object").map((item) => String(item));
  if (typeof value === "number" || typeof value === "boolean") return [String(value)];
  return undefined;
}
