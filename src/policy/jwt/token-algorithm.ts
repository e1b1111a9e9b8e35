/**
 * The signatures that are believed (RFC 7518 3.1, RFC 8037 3.1): those with a public key. "none"
 * and the HS family are not among them, whatever keys there are: who can read a public key could
 * sign with it.
 */
import { constants } from "node:crypto";

export type KeyType = "RSA" | "EC" | "OKP";

export interface TokenAlgorithm {
  readonly name: string;
  readonly keyType: KeyType;
  /** As JWK names it; "": the key has none. */
  readonly curve: string;
  /** Undefined: the signature has its own. */
  readonly hash: string | undefined;
  /** What crypto.verify is told beside the key. */
  readonly options: SignatureOptions;
  /** Octets of a signature; 0: as many as the modulus has. */
  readonly signatureBytes: number;
}

export interface SignatureOptions {
  readonly padding?: number;
  readonly saltLength?: number;
  readonly dsaEncoding?: "ieee-p1363";
}

type Row = readonly [
  name: string,
  keyType: KeyType,
  curve: string,
  hash: string | undefined,
  signatureBytes: number,
];

// biome-ignore format: a table reads as a table
const rows: readonly Row[] = [
  ["RS256", "RSA", "",        "sha256",    0],
  ["RS384", "RSA", "",        "sha384",    0],
  ["RS512", "RSA", "",        "sha512",    0],
  ["PS256", "RSA", "",        "sha256",    0],
  ["PS384", "RSA", "",        "sha384",    0],
  ["PS512", "RSA", "",        "sha512",    0],
  ["ES256", "EC",  "P-256",   "sha256",   64],
  ["ES384", "EC",  "P-384",   "sha384",   96],
  ["ES512", "EC",  "P-521",   "sha512",  132],
  ["EdDSA", "OKP", "Ed25519", undefined,  64],
];

export const tokenAlgorithms: ReadonlyMap<string, TokenAlgorithm> = new Map(
  rows.map(([name, keyType, curve, hash, signatureBytes]) => [
    name,
    { name, keyType, curve, hash, signatureBytes, options: optionsOf(name, hash) },
  ]),
);

/** The salt of PSS is as long as the hash (RFC 7518 3.5). */
function optionsOf(name: string, hash: string | undefined): SignatureOptions {
  if (name.startsWith("RS")) return { padding: constants.RSA_PKCS1_PADDING };
  if (name.startsWith("PS"))
    return {
      padding: constants.RSA_PKCS1_PSS_PADDING,
      saltLength: Number((hash ?? "").slice(3)) / 8,
    };
  return name.startsWith("ES") ? { dsaEncoding: "ieee-p1363" } : {};
}
