/**
 * Tokens that are said once and kept as a hash: "<kind>.<id>.<secret>.<sha256 of a root>". The id
 * is no secret, so that lists, logs and revocation can name a token; the last part lets whoever
 * carries the token know the manager at first sight.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";

export interface NewSecret {
  readonly id: string;
  /** SHA-256 of the secret. */
  readonly hash: Buffer;
  readonly secret: string;
}

export interface PresentedToken {
  readonly id: string;
  readonly hash: Buffer;
}

const ID_BYTES = 6;
const SECRET_BYTES = 32;
const TEXT_MAX = 512;
const FORM = /^([a-z0-9-]+)\.([0-9a-f]{12})\.([A-Za-z0-9_-]{43})(?:\.[A-Za-z0-9_-]{43})?$/;

export function newSecret(): NewSecret {
  const secret = randomBytes(SECRET_BYTES).toString("base64url");
  return { id: randomBytes(ID_BYTES).toString("hex"), hash: hashOf(secret), secret };
}

export function tokenText(kind: string, { id, secret }: NewSecret, pin: string): string {
  return `${kind}.${id}.${secret}.${pin}`;
}

/** Undefined: it has not the form of one. */
export function parseToken(kind: string, text: string): PresentedToken | undefined {
  if (text.length > TEXT_MAX) return undefined;
  const [, found, id, secret] = FORM.exec(text.trim()) ?? [];
  if (found !== kind || id === undefined || secret === undefined) return undefined;
  return { id, hash: hashOf(secret) };
}

/** Takes as long whatever the difference. */
export function isSameSecret(presented: PresentedToken, hash: Uint8Array): boolean {
  return hash.length === presented.hash.length && timingSafeEqual(presented.hash, hash);
}

function hashOf(secret: string): Buffer {
  return createHash("sha256").update(secret).digest();
}
