/**
 * The root that a token names: whoever gave it to us says by it which manager is meant, so the very
 * first connection can tell the manager from somebody in between.
 */
import { createHash, X509Certificate } from "node:crypto";

/**
 * SHA-256 of the DER form, base64url. Of "mesh1.<id>.<secret>.<pin>", labels behind it or not;
 * empty: it names none.
 */
export function rootPinOf(token: string): string {
  const [, , , pin = "", , ...others] = token.trim().split(".");
  if (others.length > 0) return "";
  return /^[A-Za-z0-9_-]{43}$/.test(pin) ? pin : "";
}

/** The one of these (PEM) that is meant. */
export function pinnedRoot(pems: readonly string[], pin: string): string | undefined {
  return pems.find((pem) => fingerprintOf(pem) === pin);
}

/** Undefined: it is no certificate. */
function fingerprintOf(pem: string): string | undefined {
  try {
    return createHash("sha256").update(new X509Certificate(pem).raw).digest("base64url");
  } catch {
    return undefined;
  }
}
