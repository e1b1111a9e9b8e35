/**
 * Tokens and sets of keys for fuzzing: sound and odd parts put together, then damaged here and
 * there; and what has to hold of whatever is read of them.
 */
import { verify } from "node:crypto";
import type { Random } from "../core/random.ts";
import { parseToken } from "../policy/jwt/compact-token.ts";
import { parseKeySet } from "../policy/jwt/key-set.ts";
import { verifyToken } from "../policy/jwt/verify-token.ts";
import { TokenIssuer, text64 } from "../testing/token-issuer.ts";
import { damaged } from "./fuzz-input.ts";

const pick = <T>(random: Random, from: readonly T[]): T =>
  from[Math.floor(random() * from.length)]!;

const issuer = new TokenIssuer("i");
const good = issuer.token({ sub: "s" });
const keys = parseKeySet(issuer.keySet());

const names = ["alg", "kid", "crit", "iss", "sub", "aud", "exp", "nbf", "iat", "azp", "__proto__"];
const values = [
  ...['"ES256"', '"none"', '"HS256"', '"RS256"', '"i"', '"s"', "1", "-1", "1e999", "1.5", "null"],
  ...["true", "[]", "{}", '["a"]', '["a",1]', '"\\u0061"', '"\\""', '"["', "[[[[[[", "0x1", "nul"],
];
const separators = [",", ",", ",", ",", ",", ", ", "", ";", ",,", '","', "}{", "\u00e9", "\ufeff"];

export function randomToken(random: Random): string {
  if (random() < 0.2) return damaged(random, good);
  const parts = [part(random), part(random), random() < 0.5 ? good.split(".")[2]! : "AAAA"];
  const joined = random() < 0.9 ? parts.join(".") : parts.slice(1).join(pick(random, [".", ".."]));
  return random() < 0.3 ? damaged(random, joined) : joined;
}

function part(random: Random): string {
  return text64(random() < 0.3 ? damaged(random, object(random)) : object(random));
}

function object(random: Random): string {
  const pairs = Array.from({ length: Math.floor(random() * 5) }, () => {
    const name = random() < 0.9 ? `"${pick(random, names)}"` : pick(random, values);
    return `${name}:${pick(random, values)}`;
  });
  return `{"alg":"ES256"${pairs.map((pair) => pick(random, separators) + pair).join("")}}`;
}

/** Nothing is thrown or believed but what was signed, and what is read is what JSON reads. */
export function judgeToken(text: string): string | undefined {
  if ("fault" in keys) return "the keys are none";
  const rules = { issuer: "i", audiences: [], nowMs: 0 };
  const verified = verifyToken(text, keys, rules);
  const [header = "", payload = "", signature = ""] = text.split(".");
  const signed = Buffer.from(`${header}.${payload}`);
  if (!("fault" in verified)) {
    const key = { key: issuer.pair.publicKey, dsaEncoding: "ieee-p1363" as const };
    const isSigned = verify("sha256", signed, key, Buffer.from(signature, "base64url"));
    if (!isSigned) return "believed without a signature";
    if (`${signed}.${signature}` !== text) return "believed with something besides";
  }
  const parsed = parseToken(text);
  if ("fault" in parsed) return undefined;
  const claims = JSON.parse(Buffer.from(payload, "base64url").toString()) as unknown;
  if (JSON.stringify(claims) !== JSON.stringify(parsed.claims)) return "other claims than JSON's";
  for (const one of [header, payload, signature])
    if (Buffer.from(one, "base64url").toString("base64url") !== one) return "two texts for a token";
  return undefined;
}

const jwks = [
  JSON.stringify(issuer.jwk()),
  JSON.stringify(new TokenIssuer("i", "RS256", "r").jwk()),
  JSON.stringify(new TokenIssuer("i", "EdDSA", "e").jwk()),
  '{"kty":"oct","k":"AAAA"}',
];

export function randomKeySet(random: Random): string {
  const members = Array.from({ length: Math.floor(random() * 4) }, () => pick(random, jwks));
  const set = `{"keys":[${members.join(random() < 0.9 ? "," : pick(random, separators))}]}`;
  return random() < 0.7 ? damaged(random, set) : set;
}

/** Nothing is thrown, and every key that is taken is one for verifying. */
export function judgeKeySet(text: string): string | undefined {
  const set = parseKeySet(text);
  if ("fault" in set) return undefined;
  for (const { key, keyType } of set.keys) {
    if (key.type !== "public") return `a key that is ${key.type}`;
    const kinds: Readonly<Record<string, string>> = { RSA: "rsa", EC: "ec", OKP: "ed25519" };
    if (key.asymmetricKeyType !== kinds[keyType]) return `${keyType} is ${key.asymmetricKeyType}`;
  }
  return undefined;
}
