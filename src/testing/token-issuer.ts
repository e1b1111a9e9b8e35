/** An issuer of JSON Web Tokens for tests: keys of its own, and tokens good or bad by them. */
import { constants, createHmac, generateKeyPairSync, type KeyObject, sign } from "node:crypto";

/** What crypto.sign needs beside the key. */
type Signing = readonly [hash: string | undefined, options: object, make: () => KeyPair];
interface KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

const pss = { padding: constants.RSA_PKCS1_PSS_PADDING };
const raw = { dsaEncoding: "ieee-p1363" };
const rsa = (): KeyPair => generateKeyPairSync("rsa", { modulusLength: 2048 });
const ec = (namedCurve: string) => (): KeyPair => generateKeyPairSync("ec", { namedCurve });

const signings: Readonly<Record<string, Signing>> = {
  RS256: ["sha256", {}, rsa],
  RS384: ["sha384", {}, rsa],
  RS512: ["sha512", {}, rsa],
  PS256: ["sha256", { ...pss, saltLength: 32 }, rsa],
  PS384: ["sha384", { ...pss, saltLength: 48 }, rsa],
  PS512: ["sha512", { ...pss, saltLength: 64 }, rsa],
  ES256: ["sha256", raw, ec("P-256")],
  ES384: ["sha384", raw, ec("P-384")],
  ES512: ["sha512", raw, ec("P-521")],
  EdDSA: [undefined, {}, () => generateKeyPairSync("ed25519")],
};

export const algorithmNames: readonly string[] = Object.keys(signings);

export type JsonFields = Readonly<Record<string, unknown>>;

export class TokenIssuer {
  readonly name: string;
  readonly algorithm: string;
  readonly keyId: string;
  readonly pair: KeyPair;

  constructor(name = "https://issuer.example", algorithm = "ES256", keyId = "key-1") {
    this.name = name;
    this.algorithm = algorithm;
    this.keyId = keyId;
    this.pair = signings[algorithm]![2]();
  }

  /** The public key, as a member of a set. */
  jwk(changes: JsonFields = {}): JsonFields {
    const { kty, crv, x, y, n, e } = this.pair.publicKey.export({ format: "jwk" });
    const key = { kty, crv, x, y, n, e };
    return { kid: this.keyId, alg: this.algorithm, use: "sig", ...key, ...changes };
  }

  keySet(...others: readonly JsonFields[]): string {
    return JSON.stringify({ keys: [this.jwk(), ...others] });
  }

  /** Signed; undefined in `header` or `claims` leaves that name out. */
  token(claims: JsonFields = {}, header: JsonFields = {}): string {
    const all = { iss: this.name, sub: "alice", ...claims };
    return this.signParts(text64({ alg: this.algorithm, kid: this.keyId, ...header }), text64(all));
  }

  /** Of parts that may be anything. */
  signParts(header: string, payload: string): string {
    const signed = `${header}.${payload}`;
    const [hash, options] = signings[this.algorithm]!;
    const key = { key: this.pair.privateKey, ...options };
    return `${signed}.${sign(hash, Buffer.from(signed), key).toString("base64url")}`;
  }

  /** As an attacker would who takes the public key for a secret. */
  macToken(claims: JsonFields = {}): string {
    const secret = this.pair.publicKey.export({ format: "pem", type: "spki" });
    const header = text64({ alg: "HS256", kid: this.keyId });
    const signed = `${header}.${text64({ iss: this.name, sub: "alice", ...claims })}`;
    return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
  }
}

/** base64url of JSON, or of a text as it stands. */
export function text64(value: JsonFields | string): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return Buffer.from(text).toString("base64url");
}
