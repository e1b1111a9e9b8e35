/** Requests for certificates (PKCS#10) with whatever a case needs, well-formed or not. */
import { createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { der, derBits, derOid, derSequence, Tag, toPem } from "../core/der.ts";

export interface RequestParts {
  /** P-256 unless told. */
  readonly key?: KeyObject;
  /** Signs; `key` unless told. */
  readonly signedBy?: KeyObject;
  /** SHA-256 unless told. */
  readonly hash?: string;
  /** The content of its OID in hexadecimal; that of P-256 unless told. */
  readonly algorithm?: string;
  readonly commonName?: Buffer;
  /** GeneralNames one behind the other, see `uriName`; each list an extension of its own. */
  readonly names?: readonly (readonly Buffer[])[];
  /** Further ones: the content of the OID in hexadecimal, and that of the extension. */
  readonly extensions?: readonly (readonly [oid: string, value: Buffer])[];
}

export function signingRequestDer(parts: RequestParts = {}): Buffer {
  const key = parts.key ?? generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
  const { commonName, names = [], hash = "sha256", signedBy = key } = parts;
  const all = [
    ...names.map((list) => ["551d11", derSequence(...list)] as const),
    ...(parts.extensions ?? []),
  ];
  const subject = commonName === undefined ? [] : [attribute("550403", commonName)];
  const extensions = all.map(([oid, value]) =>
    derSequence(derOid(oid), der(Tag.octetString, value)),
  );
  const requested = derSequence(
    derOid("2a864886f70d01090e"),
    der(Tag.set, derSequence(...extensions)),
  );
  const info = derSequence(
    der(Tag.integer, Buffer.of(0)),
    derSequence(...subject),
    createPublicKey(key).export({ type: "spki", format: "der" }),
    der(0xa0, ...(all.length === 0 ? [] : [requested])),
  );
  const algorithm = derSequence(derOid(parts.algorithm ?? "2a8648ce3d040302"));
  return derSequence(info, algorithm, derBits(sign(hash, info, signedBy)));
}

export function signingRequestPem(parts: RequestParts = {}): string {
  return toPem("CERTIFICATE REQUEST", signingRequestDer(parts));
}

export function uriName(text: string): Buffer {
  return der(0x86, Buffer.from(text));
}

export function dnsName(text: string): Buffer {
  return der(0x82, Buffer.from(text));
}

function attribute(oid: string, text: Buffer): Buffer {
  return der(Tag.set, derSequence(derOid(oid), der(Tag.utf8String, text)));
}
