/**
 * Keys at rest: AES-256-GCM with a key that lies in a file of its own, which the operator may hold
 * elsewhere. Whoever has the database alone has no authority.
 *
 *   sealed = version (1) | nonce (12) | ciphertext | tag (16), bound to a name
 */

import type { KeyObject } from "node:crypto";
import { createCipheriv, createDecipheriv, createSecretKey, randomBytes } from "node:crypto";
import { linkSync, mkdirSync, readFileSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

const VERSION = 1;
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const FILE_BYTES_MAX = 1_024;
const CIPHER = "aes-256-gcm";

export class KeySeal {
  readonly #key: KeyObject;

  private constructor(key: Buffer) {
    this.#key = createSecretKey(key);
  }

  /** For a manager that keeps nothing. */
  static random(): KeySeal {
    return new KeySeal(randomBytes(KEY_BYTES));
  }

  /** Throws a sentence for the operator. */
  static fromFile(path: string): KeySeal {
    const { size } = statSync(path);
    const text = size <= FILE_BYTES_MAX ? readFileSync(path) : Buffer.alloc(0);
    const key = keyOf(text);
    if (key !== undefined) return new KeySeal(key);
    throw new Error(
      `${path}: a key is ${KEY_BYTES} bytes, as they are, in hexadecimal or in base64; ` +
        `\`openssl rand -hex 32\` makes one`,
    );
  }

  /** As fromFile; where there is no file it is made, by one of those who try at once. */
  static createdIn(path: string): KeySeal {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const draft = `${path}.${randomBytes(6).toString("hex")}`;
    writeFileSync(draft, `${randomBytes(KEY_BYTES).toString("hex")}\n`, {
      mode: 0o600,
      flush: true,
    });
    try {
      linkSync(draft, path);
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    } finally {
      unlinkSync(draft);
    }
    return KeySeal.fromFile(path);
  }

  seal(secret: Buffer, name: string): Buffer {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, this.#key, nonce).setAAD(Buffer.from(name));
    const sealed = Buffer.concat([cipher.update(secret), cipher.final()]);
    return Buffer.concat([Buffer.of(VERSION), nonce, sealed, cipher.getAuthTag()]);
  }

  /** Undefined: sealed with another key, for another name, or changed since. */
  open(sealed: Buffer, name: string): Buffer | undefined {
    if (sealed[0] !== VERSION || sealed.length < 1 + NONCE_BYTES + TAG_BYTES) return undefined;
    const nonce = sealed.subarray(1, 1 + NONCE_BYTES);
    const end = sealed.length - TAG_BYTES;
    const decipher = createDecipheriv(CIPHER, this.#key, nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(Buffer.from(name)).setAuthTag(sealed.subarray(end));
    try {
      const secret = decipher.update(sealed.subarray(1 + NONCE_BYTES, end));
      return Buffer.concat([secret, decipher.final()]);
    } catch {
      return undefined;
    }
  }
}

function keyOf(bytes: Buffer): Buffer | undefined {
  if (bytes.length === KEY_BYTES) return bytes;
  const text = bytes.toString("latin1").trim();
  if (/^[0-9a-fA-F]{64}$/.test(text)) return Buffer.from(text, "hex");
  return /^[A-Za-z0-9+/]{43}=$/.test(text) ? Buffer.from(text, "base64") : undefined;
}
