/** Keys as issuers publish them: which are taken, and which are left out and why. */
import { expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { expectLinear } from "../../testing/growth.ts";
import { type JsonFields, TokenIssuer } from "../../testing/token-issuer.ts";
import { parseKeySet } from "./key-set.ts";
import type { TokenFaultName } from "./token-fault.ts";

const rsa = new TokenIssuer("i", "RS256").jwk();
const ec = new TokenIssuer("i", "ES256").jwk();
const ed = new TokenIssuer("i", "EdDSA").jwk();
const { alg: _, ...anyRsa } = rsa;
const { alg: __, ...anyEc } = ec;
const small = generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey;
const { n: smallN } = small.export({ format: "jwk" });
const even = `${(rsa.n as string).slice(0, -1)}A`;

type Row = readonly [what: string, jwk: JsonFields, why: string];

const rows: readonly Row[] = [
  ["RSA", rsa, ""],
  ["EC", ec, ""],
  ["Ed25519", ed, ""],
  ["RSA for any of its algorithms", anyRsa, ""],
  ["EC without use", { ...anyEc, use: undefined }, ""],
  ["without a name", { ...ec, kid: undefined }, ""],
  ["for verifying", { ...ec, key_ops: ["verify"] }, ""],
  ["with members of others", { ...ec, x5t: "x", ext: true, "x-more": 1 }, ""],
  ["a name that is a number", { ...ec, kid: 7 }, "[kid] is not a string"],
  ["for encryption", { ...ec, use: "enc" }, "is not for signatures"],
  ["a use that is a list", { ...ec, use: ["sig"] }, "is not for signatures"],
  ["for signing alone", { ...ec, key_ops: ["sign"] }, "is not for verifying"],
  ["operations that are a text", { ...ec, key_ops: "verify" }, "is not for verifying"],
  ["a secret", { kty: "oct", k: "AAAA" }, "is of a type that cannot verify"],
  ["a secret with RSA's name", { kty: "oct", k: "AAAA", alg: "RS256" }, "is no key of RS256"],
  ["without a type", { ...anyEc, kty: undefined }, "is of a type that cannot verify"],
  ["of an HMAC's algorithm", { ...rsa, alg: "HS256" }, "is of an algorithm not believed"],
  ["of no algorithm", { ...rsa, alg: "none" }, "is of an algorithm not believed"],
  ["an algorithm that is a number", { ...rsa, alg: 1 }, "[alg] is not a string"],
  ["RSA said to be EC's", { ...rsa, alg: "ES256" }, "is no key of ES256"],
  ["EC said to be RSA's", { ...ec, alg: "RS256" }, "is no key of RS256"],
  ["a curve of another algorithm", { ...ec, alg: "ES384" }, "is no key of ES384"],
  ["RSA of 1024 bits", { ...anyRsa, n: smallN }, "RSA of 1024 bits"],
  ["RSA of 1024 bits behind zeros", { ...anyRsa, n: behindZeros(smallN!) }, "RSA of 1024 bits"],
  ["RSA of nothing", { ...anyRsa, n: "" }, "RSA of 0 bits"],
  ["RSA too large", { ...anyRsa, n: `${"_".repeat(1_400)}_w` }, "RSA of 8408 bits"],
  ["RSA without modulus", { ...anyRsa, n: undefined }, "RSA without [n] or [e]"],
  ["RSA with padding", { ...anyRsa, n: `${rsa.n}=` }, "RSA without [n] or [e]"],
  ["RSA with an exponent of one", { ...anyRsa, e: "AQ" }, "RSA with a bad exponent"],
  ["RSA with an even exponent", { ...anyRsa, e: "BA" }, "RSA with a bad exponent"],
  ["RSA with a huge exponent", { ...anyRsa, e: "AQAAAAE" }, "RSA with a bad exponent"],
  ["RSA without exponent", { ...anyRsa, e: "" }, "RSA with a bad exponent"],
  ["RSA with an even modulus", { ...anyRsa, n: even }, "RSA with a bad exponent"],
  ["a curve nobody knows", { ...anyEc, crv: "secp256k1" }, "EC of an unknown curve"],
  ["a curve that is a list", { ...anyEc, crv: ["P-256"] }, "EC of an unknown curve"],
  ["EC without y", { ...ec, y: undefined }, "EC without [x] or [y]"],
  ["EC with a short x", { ...ec, x: "AAAA" }, "EC without [x] or [y]"],
  ["a point beside the curve", { ...ec, x: "A".repeat(43) }, "is no point of P-256"],
  ["X25519", { ...ed, alg: undefined, crv: "X25519" }, "OKP of another curve than Ed25519"],
  ["Ed448", { ...ed, alg: undefined, crv: "Ed448" }, "OKP of another curve than Ed25519"],
  ["Ed25519 without x", { ...ed, x: undefined }, "OKP without [x]"],
];

test.each(rows)("%s", (_what, jwk, why) => {
  const set = parseKeySet(JSON.stringify({ keys: [{ ...ec, kid: "sound" }, jwk] }));
  if ("fault" in set) throw new Error(set.fault);
  expect(set.keys.length).toBe(why === "" ? 2 : 1);
  const name = typeof jwk.kid === "string" ? ` (kid "${jwk.kid}")` : "";
  expect(set.skipped).toEqual(why === "" ? [] : [`key 2${name}: ${why}`]);
});

const sets: readonly (readonly [what: string, text: string, fault: TokenFaultName])[] = [
  ["nothing", "", "keySetJson"],
  ["a page", "<html>", "keySetJson"],
  ["a list", "[]", "keySetJson"],
  ["no keys", "{}", "keySetWithoutKeys"],
  ["what every object has", '{"__proto__":{"keys":[]}}', "keySetWithoutKeys"],
  ["keys that are an object", '{"keys":{}}', "keySetNotList"],
  ["keys twice", '{"keys":[],"keys":[]}', "keySetJson"],
  ["no key", '{"keys":[]}', "keySetEmpty"],
  ["no good key", '{"keys":[1,null,[],{},{"kty":"oct","k":"AAAA"}]}', "keySetEmpty"],
  ["too many", JSON.stringify({ keys: Array(101).fill(ec) }), "keySetTooLarge"],
  ["too long", JSON.stringify({ keys: [ec], more: "x".repeat(256 * 1024) }), "keySetJson"],
  ["too deep", `{"keys":[],"a":${"[".repeat(16)}${"]".repeat(16)}}`, "keySetJson"],
];

test.each(sets)("a set of %s is refused", (_what, text, fault) => {
  expect(parseKeySet(text)).toMatchObject({ fault });
});

test("a private key is taken for its public half", () => {
  const issuer = new TokenIssuer("i", "RS256");
  const jwk = issuer.pair.privateKey.export({ format: "jwk" });
  const set = parseKeySet(JSON.stringify({ keys: [jwk] }));
  if ("fault" in set) throw new Error(set.fault);
  expect(set.keys[0]?.key.type).toBe("public");
});

test("reading grows with the set and no faster", () => {
  const more = new Map([10_000, 40_000].map((n) => [n, `{"keys":[],"x":"${"y".repeat(n)}"}`]));
  expectLinear((n) => {
    for (let i = 0; i < 20; i++) parseKeySet(more.get(n)!);
  }, 10_000);
});

function behindZeros(text: string): string {
  const octets = Buffer.from(text, "base64url");
  return Buffer.concat([Buffer.alloc(200), octets]).toString("base64url");
}
