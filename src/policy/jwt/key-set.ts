/**
 * Keys by which tokens are verified: a JWK set (RFC 7517), of which only public keys for signatures
 * are taken. A key of another kind, use or size is left out and the others stay good, as the RFC
 * asks (5); that a set has none left is a fault.
 */
import { createPublicKey, type KeyObject } from "node:crypto";
import { decodeBase64Url } from "./base64url.ts";
import { isJsonObject, type JsonObject, memberOf, parseStrictJson } from "./strict-json.ts";
import { type KeyType, type TokenAlgorithm, tokenAlgorithms } from "./token-algorithm.ts";
import { type TokenFault, TokenFaults } from "./token-fault.ts";

export interface TokenKey {
  /** "kid"; undefined: it has none, and may be anybody's. */
  readonly id: string | undefined;
  readonly keyType: KeyType;
  readonly curve: string;
  /** The only algorithm that it is for; "": any of its type. */
  readonly algorithm: string;
  /** RSA: of the modulus, in octets. */
  readonly modulusBytes: number;
  readonly key: KeyObject;
}

export interface KeySet {
  readonly keys: readonly TokenKey[];
  /** Why others were left out: "key 2 (kid \"a\"): RSA of 1024 bits". */
  readonly skipped: readonly string[];
}

/** Of the text of a set. */
export const KEY_SET_BYTES_MAX = 256 * 1024;
const KEYS_MAX = 100;
const DEPTH_MAX = 16;
const MODULUS_BITS = { min: 2048, max: 8192 };
/** Larger ones only make verifying slow. */
const EXPONENT_MAX = 0xffff_ffff;
const NAME_CHARS_MAX = 60;

/** Octets of a coordinate. */
const curves: ReadonlyMap<string, number> = new Map([
  ["P-256", 32],
  ["P-384", 48],
  ["P-521", 66],
]);

type Read = TokenKey | { readonly why: string };

export function parseKeySet(text: string): KeySet | TokenFault {
  const octets = new TextEncoder().encode(text);
  const set = octets.length > KEY_SET_BYTES_MAX ? undefined : parseStrictJson(octets, DEPTH_MAX);
  if (set === undefined) return TokenFaults.keySetJson;
  const list = memberOf(set, "keys");
  if (list === undefined) return TokenFaults.keySetWithoutKeys;
  if (!Array.isArray(list)) return TokenFaults.keySetNotList;
  if (list.length > KEYS_MAX) return TokenFaults.keySetTooLarge;
  const keys: TokenKey[] = [];
  const skipped: string[] = [];
  for (const [index, jwk] of list.entries()) {
    const read = isJsonObject(jwk) ? readKey(jwk) : { why: "is no object" };
    if ("why" in read) skipped.push(`key ${index + 1}${nameOf(jwk)}: ${read.why}`);
    else keys.push(read);
  }
  return keys.length === 0 ? TokenFaults.keySetEmpty : { keys, skipped };
}

function readKey(jwk: JsonObject): Read {
  const id = memberOf(jwk, "kid");
  if (id !== undefined && typeof id !== "string") return { why: "[kid] is not a string" };
  const use = memberOf(jwk, "use");
  if (use !== undefined && use !== "sig") return { why: "is not for signatures" };
  const operations = memberOf(jwk, "key_ops");
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes("verify")))
    return { why: "is not for verifying" };
  const keyType = memberOf(jwk, "kty");
  const algorithm = memberOf(jwk, "alg") ?? "";
  if (typeof algorithm !== "string") return { why: "[alg] is not a string" };
  const rules = tokenAlgorithms.get(algorithm);
  if (algorithm !== "" && rules === undefined) return { why: "is of an algorithm not believed" };
  const curve = memberOf(jwk, "crv") ?? "";
  if (rules !== undefined && (rules.keyType !== keyType || (rules.curve || curve) !== curve))
    return { why: `is no key of ${algorithm}` };
  const common = { id, algorithm };
  if (keyType === "RSA") return readRsa(jwk, common);
  if (keyType === "EC") return readCurve(jwk, common);
  if (keyType === "OKP") return readEdwards(jwk, common);
  return { why: "is of a type that cannot verify" };
}

type Common = Pick<TokenKey, "id" | "algorithm">;

function readRsa(jwk: JsonObject, common: Common): Read {
  const [n, e] = [octetsOf(jwk, "n"), octetsOf(jwk, "e")];
  if (n === undefined || e === undefined) return { why: "RSA without [n] or [e]" };
  const modulus = withoutZeros(n);
  const bits = modulus.length === 0 ? 0 : modulus.length * 8 - Math.clz32(modulus[0]!) + 24;
  const { min, max } = MODULUS_BITS;
  if (bits < min || bits > max) return { why: `RSA of ${bits} bits` };
  const exponent = numberOf(withoutZeros(e));
  const isOdd = (modulus[modulus.length - 1]! & exponent & 1) === 1;
  if (exponent < 3 || exponent > EXPONENT_MAX || !isOdd) return { why: "RSA with a bad exponent" };
  const key = keyOf({ kty: "RSA", n: memberOf(jwk, "n"), e: memberOf(jwk, "e") });
  if (key === undefined) return { why: "is no RSA key" };
  return { ...common, keyType: "RSA", curve: "", modulusBytes: modulus.length, key };
}

function readCurve(jwk: JsonObject, common: Common): Read {
  const curve = memberOf(jwk, "crv");
  const bytes = typeof curve === "string" ? curves.get(curve) : undefined;
  if (typeof curve !== "string" || bytes === undefined) return { why: "EC of an unknown curve" };
  const [x, y] = [octetsOf(jwk, "x"), octetsOf(jwk, "y")];
  if (x?.length !== bytes || y?.length !== bytes) return { why: "EC without [x] or [y]" };
  const key = keyOf({ kty: "EC", crv: curve, x: memberOf(jwk, "x"), y: memberOf(jwk, "y") });
  if (key === undefined) return { why: `is no point of ${curve}` };
  return { ...common, keyType: "EC", curve, modulusBytes: 0, key };
}

function readEdwards(jwk: JsonObject, common: Common): Read {
  const curve = memberOf(jwk, "crv");
  if (curve !== "Ed25519") return { why: "OKP of another curve than Ed25519" };
  if (octetsOf(jwk, "x")?.length !== 32) return { why: "OKP without [x]" };
  const key = keyOf({ kty: "OKP", crv: curve, x: memberOf(jwk, "x") });
  if (key === undefined) return { why: "is no key of Ed25519" };
  return { ...common, keyType: "OKP", curve, modulusBytes: 0, key };
}

/** Whether a token may be signed with it, by type, curve and its own restriction. */
export function fitsAlgorithm(key: TokenKey, { name, keyType, curve }: TokenAlgorithm): boolean {
  if (key.keyType !== keyType || key.curve !== curve) return false;
  return key.algorithm === "" || key.algorithm === name;
}

function octetsOf(jwk: JsonObject, name: string): Uint8Array | undefined {
  const text = memberOf(jwk, name);
  return typeof text === "string" ? decodeBase64Url(text) : undefined;
}

/** The library says no by throwing; what it says is of no use to operators. */
function keyOf(key: Readonly<Record<string, unknown>>): KeyObject | undefined {
  try {
    return createPublicKey({ key, format: "jwk" });
  } catch {
    return undefined;
  }
}

function withoutZeros(octets: Uint8Array): Uint8Array {
  let at = 0;
  while (octets[at] === 0) at++;
  return octets.subarray(at);
}

function numberOf(octets: Uint8Array): number {
  let value = 0;
  for (const octet of octets.subarray(0, 6)) value = value * 256 + octet;
  return value;
}

function nameOf(jwk: unknown): string {
  const id = isJsonObject(jwk) ? memberOf(jwk, "kid") : undefined;
  return typeof id === "string" ? ` (kid ${JSON.stringify(id.slice(0, NAME_CHARS_MAX))})` : "";
}
