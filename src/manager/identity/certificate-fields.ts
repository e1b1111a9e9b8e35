/** What certificates repeat of the one above them, as bytes: node:crypto has it as text. */
import { createHash, type X509Certificate } from "node:crypto";
import { readDer, readDerOf, Tag } from "../../core/der.ts";

export interface IssuerName {
  /** DER of the Name. */
  readonly name: Buffer;
  /** Content of the subject key identifier. */
  readonly keyId: Buffer;
}

const SUBJECT_KEY_ID = "551d0e";
const VERSION = 0xa0;
const EXTENSIONS = 0xa3;

/** Undefined: it is no certificate that we can read. */
export function issuerNameOf(certificate: X509Certificate): IssuerName | undefined {
  const [body] = readDerOf(Tag.sequence, certificate.raw) ?? [];
  const fields = body === undefined ? [] : (readDer(body.content) ?? []);
  // serial, algorithm, issuer, validity, subject
  const name = fields[fields[0]?.tag === VERSION ? 5 : 4];
  if (name === undefined) return undefined;
  const extensions = fields.find(({ tag }) => tag === EXTENSIONS)?.content ?? Buffer.alloc(0);
  for (const { content } of readDerOf(Tag.sequence, extensions) ?? []) {
    const parts = readDer(content) ?? [];
    if (parts[0]?.content.toString("hex") !== SUBJECT_KEY_ID) continue;
    const [keyId] = readDer(parts.at(-1)?.content ?? Buffer.alloc(0)) ?? [];
    if (keyId !== undefined) return { name: name.whole, keyId: keyId.content };
  }
  const spki = certificate.publicKey.export({ type: "spki", format: "der" });
  return { name: name.whole, keyId: keyIdOf(spki) };
}

/** RFC 7093 2 (1), of a SubjectPublicKeyInfo. */
export function keyIdOf(publicKey: Buffer): Buffer {
  const [, bits] = readDerOf(Tag.sequence, publicKey) ?? [];
  const key = bits?.content.subarray(1) ?? publicKey;
  return createHash("sha256").update(key).digest().subarray(0, 20);
}
