/** Tokens as strangers write them: what is read, and what is refused and why. */
import { describe, expect, test } from "bun:test";
import { expectLinear } from "../../testing/growth.ts";
import { text64 } from "../../testing/token-issuer.ts";
import { parseToken } from "./compact-token.ts";
import type { TokenFaultName } from "./token-fault.ts";

const header = text64({ alg: "ES256", kid: "a" });
const payload = text64({ iss: "i", sub: "s" });
const signed = `${header}.${payload}`;
const nested = (depth: number): string =>
  `{"iss":"i","a":${"[".repeat(depth - 1)}${"]".repeat(depth - 1)}}`;
const withClaims = (claims: string | object): string =>
  `${header}.${text64(claims as string)}.AAAA`;
const withHeader = (fields: string | object): string =>
  `${text64(fields as string)}.${payload}.AAAA`;
const es = (fields: object): object => ({ alg: "ES256", ...fields });

/** Who reads it, and what of it. */
type Row = readonly [what: string, token: string, result: TokenFaultName | "read"];

const rows: readonly Row[] = [
  ["three parts", `${signed}.AAAA`, "read"],
  ["no part", "", "notCompact"],
  ["one part", "abc", "notCompact"],
  ["two parts", signed, "notCompact"],
  ["four parts", `${signed}.AAAA.AAAA`, "notCompact"],
  ["five parts, as an encrypted token has them", `${signed}.AAAA.AAAA.AAAA`, "notCompact"],
  ["dots alone", "..", "headerJson"],
  ["no header", `.${payload}.AAAA`, "headerJson"],
  ["no payload", `${header}..AAAA`, "payloadJson"],
  ["no signature", `${signed}.`, "read"],
  ["a header with padding", `${header}=.${payload}.AAAA`, "headerBase64"],
  ["a header in plain base64", `+/+/.${payload}.AAAA`, "headerBase64"],
  ["a payload with a space", `${header}. ${payload}.AAAA`, "payloadBase64"],
  ["a payload with a line end", `${header}.${payload}\n.AAAA`, "payloadBase64"],
  ["a payload of one letter", `${header}.A.AAAA`, "payloadBase64"],
  ["a signature with padding", `${signed}.AA==`, "signatureBase64"],
  ["a signature with bits left over, two letters", `${signed}.AB`, "signatureBase64"],
  ["a signature with bits left over, three letters", `${signed}.AAB`, "signatureBase64"],
  ["a signature with nothing left over", `${signed}.AQ`, "read"],
  ["a signature of another alphabet", `${signed}.A\u0141AA`, "signatureBase64"],
  ["a token behind a comma", `${signed}.AAAA,${signed}.AAAA`, "notCompact"],
  ["the longest", `${signed}.${"A".repeat(16 * 1024 - signed.length - 1)}`, "read"],
  ["one letter more", `${signed}.${"A".repeat(16 * 1024 - signed.length)}`, "tooLong"],
  ["a header that is no object", withHeader("[]"), "headerJson"],
  ["a header that is text", withHeader('"ES256"'), "headerJson"],
  ["a header that is null", withHeader("null"), "headerJson"],
  ["a header that is no JSON", withHeader('{"alg":"ES256",}'), "headerJson"],
  ["a header with something behind", withHeader('{"alg":"ES256"} x'), "headerJson"],
  ["a header with its algorithm twice", withHeader('{"alg":"ES256","alg":"none"}'), "headerJson"],
  ["the same, written otherwise", withHeader('{"alg":"ES256","\\u0061lg":"none"}'), "headerJson"],
  ["a header without algorithm", withHeader({ kid: "a" }), "noAlgorithm"],
  ["an algorithm that is a number", withHeader({ alg: 256 }), "noAlgorithm"],
  ["an algorithm that is null", withHeader({ alg: null }), "noAlgorithm"],
  ["alg: none", withHeader({ alg: "none" }), "unsupportedAlgorithm"],
  ["alg: None", withHeader({ alg: "None" }), "unsupportedAlgorithm"],
  ["alg: nothing", withHeader({ alg: "" }), "unsupportedAlgorithm"],
  ["alg: HS256", withHeader({ alg: "HS256" }), "unsupportedAlgorithm"],
  ["alg: HS512", withHeader({ alg: "HS512" }), "unsupportedAlgorithm"],
  ["alg: es256", withHeader({ alg: "es256" }), "unsupportedAlgorithm"],
  ["alg: ES256K", withHeader({ alg: "ES256K" }), "unsupportedAlgorithm"],
  ["alg: what every object has", withHeader({ alg: "constructor" }), "unsupportedAlgorithm"],
  ["an algorithm of encryption", withHeader({ alg: "RSA-OAEP" }), "unsupportedAlgorithm"],
  ["crit, even of nothing", withHeader(es({ crit: [] })), "criticalExtension"],
  ["crit of b64", withHeader(es({ crit: ["b64"], b64: false })), "criticalExtension"],
  ["crit that is null", withHeader(es({ crit: null })), "criticalExtension"],
  ["kid that is a number", withHeader(es({ kid: 1 })), "keyIdNotText"],
  ["kid that is null", withHeader(es({ kid: null })), "keyIdNotText"],
  ["no kid", withHeader(es({})), "read"],
  ["a key of the attacker's", withHeader(es({ jwk: { kty: "EC" }, jku: "https://evil" })), "read"],
  ["a payload that is no object", withClaims("[1]"), "payloadJson"],
  ["a payload that is a token", withClaims(`${signed}.AAAA`), "payloadJson"],
  ["a payload with a mark", withClaims("\ufeff{}"), "payloadJson"],
  ["a claim twice", withClaims('{"sub":"a","sub":"b"}'), "payloadJson"],
  ["a claim twice, deeper", withClaims('{"a":[{"b":1,"b" :2}]}'), "payloadJson"],
  ["a name in two objects", withClaims('{"a":{"b":1},"c":{"b":1},"b":1}'), "read"],
  ["names that look like nesting", withClaims('{"a[{":"\\"}]:","b\\\\":1}'), "read"],
  ["nesting in quotes", withClaims({ text: `"${"[".repeat(40)}`, b: 1 }), "read"],
  ["as deep as may be", withClaims(nested(32)), "read"],
  ["deeper", withClaims(nested(33)), "payloadJson"],
  ["brackets without end", withClaims("[".repeat(10_000)), "payloadJson"],
  ["objects without end", withClaims('{"a":'.repeat(2_000)), "payloadJson"],
  ["a text without end", withClaims('{"a":"b'), "payloadJson"],
  ["iss that is a number", withClaims({ iss: 1 }), "issuerNotText"],
  ["iss that is null", withClaims({ iss: null }), "issuerNotText"],
  ["iss that is a list", withClaims({ iss: ["i"] }), "issuerNotText"],
  ["sub that is an object", withClaims({ sub: {} }), "subjectNotText"],
  ["azp that is a list", withClaims({ azp: ["a"] }), "presenterNotText"],
  ["aud that is a number", withClaims({ aud: 1 }), "audienceNotText"],
  ["aud of numbers", withClaims({ aud: ["a", 1] }), "audienceNotText"],
  ["aud that is null", withClaims({ aud: null }), "audienceNotText"],
  ["exp that is text", withClaims({ exp: "2000000000" }), "expiryNotNumber"],
  ["exp that is null", withClaims({ exp: null }), "expiryNotNumber"],
  ["exp below zero", withClaims({ exp: -1 }), "expiryNotNumber"],
  ["exp beyond all numbers", withClaims('{"exp":1e999}'), "expiryNotNumber"],
  ["exp in a year that nobody means", withClaims({ exp: 1e13 }), "expiryNotNumber"],
  ["exp with a fraction", withClaims({ exp: 1.5 }), "read"],
  ["nbf that is true", withClaims({ nbf: true }), "beginNotNumber"],
  ["iat that is text", withClaims({ iat: "now" }), "issueTimeNotNumber"],
  ["claims named as objects' own", withClaims('{"__proto__":{"iss":"evil"}}'), "read"],
];

test.each(rows)("%s: %p", (_, token, result) => {
  const parsed = parseToken(token);
  expect("fault" in parsed ? parsed.fault : "read").toBe(result);
});

test("octets that are no UTF-8 are no JSON", () => {
  const octets = Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]).toString("base64url");
  expect(parseToken(`${header}.${octets}.AAAA`)).toMatchObject({ fault: "payloadJson" });
});

describe("what is read", () => {
  const read = (claims: object) => {
    const parsed = parseToken(withClaims(claims));
    if ("fault" in parsed) throw new Error(parsed.fault);
    return parsed;
  };

  test("all of it", () => {
    const claims = { iss: "i", sub: "s", azp: "p", aud: ["a", "b"], exp: 10, nbf: 5, iat: 4, x: 1 };
    const token = read(claims);
    expect(token).toMatchObject({
      ...{ issuer: "i", subject: "s", presenter: "p", audiences: ["a", "b"], keyId: "a" },
      ...{ expiresMs: 10_000, beginsMs: 5_000, payload: text64(claims) },
    });
    expect(token.algorithm.name).toBe("ES256");
    expect(token.claims).toEqual(claims);
    expect(Buffer.from(token.signed).toString()).toBe(`${header}.${text64(claims)}`);
    expect(token.signature).toEqual(new Uint8Array(3));
  });

  test("nothing of it is there", () => {
    expect(read({})).toMatchObject({
      ...{ issuer: "", subject: "", presenter: "", audiences: [] },
      ...{ expiresMs: Number.POSITIVE_INFINITY, beginsMs: 0 },
    });
  });

  test("one audience is a list of one", () => {
    expect(read({ aud: "a" }).audiences).toEqual(["a"]);
  });

  test("nobody gets a claim by way of a prototype", () => {
    const token = read(JSON.parse('{"__proto__":{"iss":"evil"}}') as object);
    expect(token.issuer).toBe("");
  });
});

test("cut at every offset it is refused or another token, and nothing is thrown", () => {
  const token = `${signed}.AAAA`;
  for (let at = 0; at < token.length; at++) {
    const parsed = parseToken(token.slice(0, at));
    if ("fault" in parsed) continue;
    expect(at).toBeGreaterThan(signed.length);
  }
});

test("reading grows with the token and no faster", () => {
  const ten = Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`n${i}`, i]));
  const names = (n: number): string => withClaims({ list: Array(n / 10).fill(ten) });
  const tokens = new Map([200, 800].map((n) => [n, names(n)]));
  expectLinear((n) => {
    for (let i = 0; i < 10; i++) parseToken(tokens.get(n)!);
  }, 200);
  const brackets = new Map([2_000, 8_000].map((n) => [n, withClaims("[".repeat(n))]));
  expectLinear((n) => {
    for (let i = 0; i < 50; i++) parseToken(brackets.get(n)!);
  }, 2_000);
  const spaces = new Map(
    [2_000, 8_000].map((n) => [n, withClaims(`{"a"${" ".repeat(n)}:"${"\\\\".repeat(n / 4)}"}`)]),
  );
  expectLinear((n) => {
    for (let i = 0; i < 50; i++) parseToken(spaces.get(n)!);
  }, 2_000);
});
