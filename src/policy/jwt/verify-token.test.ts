/** Which tokens are believed, by which key, and what a believed one says. */
import { describe, expect, test } from "bun:test";
import {
  algorithmNames,
  type JsonFields,
  TokenIssuer,
  text64,
} from "../../testing/token-issuer.ts";
import { type KeySet, parseKeySet } from "./key-set.ts";
import type { TokenFaultName } from "./token-fault.ts";
import { claimTexts, type VerifiedToken } from "./verified-token.ts";
import { spaceDelimitedClaims, verifyToken } from "./verify-token.ts";

const nowMs = Date.UTC(2026, 0, 1);
const now = nowMs / 1_000;
const issuer = new TokenIssuer();
const stranger = new TokenIssuer(issuer.name, "ES256", issuer.keyId);
const rules = { issuer: issuer.name, audiences: [] as readonly string[], nowMs };

function keys(...texts: readonly JsonFields[]): KeySet {
  const set = parseKeySet(JSON.stringify({ keys: texts }));
  if ("fault" in set) throw new Error(set.fault);
  return set;
}

function outcome(result: ReturnType<typeof verifyToken>): TokenFaultName | "believed" {
  return "fault" in result ? result.fault : "believed";
}

describe.each([...algorithmNames])("%s", (algorithm) => {
  const signer = new TokenIssuer(issuer.name, algorithm);
  const own = keys(signer.jwk());

  test("a good token is believed", () => {
    expect(outcome(verifyToken(signer.token(), own, rules))).toBe("believed");
  });

  test("a change of any part is noticed", () => {
    const [header, payload, signature] = signer.token().split(".") as [string, string, string];
    const forged = text64({ iss: issuer.name, sub: "root" });
    const other = text64({ alg: algorithm, kid: "key-1", x: 1 });
    const flipped = `${signature[0] === "A" ? "B" : "A"}${signature.slice(1)}`;
    const zeros = Buffer.alloc(Buffer.from(signature, "base64url").length).toString("base64url");
    for (const token of [
      ...[`${header}.${forged}.${signature}`, `${other}.${payload}.${signature}`],
      ...[`${header}.${payload}.${flipped}`, `${header}.${payload}.${zeros}`],
      ...[`${header}.${payload}.`, `${header}.${payload}.AA`],
    ])
      expect(outcome(verifyToken(token, own, rules))).toBe("badSignature");
    const longer = Buffer.concat([Buffer.from(signature, "base64url"), Buffer.alloc(1)]);
    const token = `${header}.${payload}.${longer.toString("base64url")}`;
    expect(outcome(verifyToken(token, own, rules))).toBe("badSignature");
  });

  test("the key of somebody else does not do", () => {
    const other = new TokenIssuer(issuer.name, algorithm);
    expect(outcome(verifyToken(other.token(), own, rules))).toBe("badSignature");
  });

  test("no key is taken for one of another algorithm", () => {
    for (const name of algorithmNames) {
      if (name === algorithm) continue;
      const token = signer.token({}, { alg: name });
      expect(outcome(verifyToken(token, own, rules))).toBe("unknownKey");
    }
  });
});

test("a key that is for any algorithm is so for those of its type and curve", () => {
  for (const [algorithm, others] of [
    ["ES256", ["ES384", "ES512", "RS256", "PS256", "EdDSA"]],
    ["RS256", ["ES256", "EdDSA"]],
    ["EdDSA", ["ES256", "RS256"]],
  ] as const) {
    const signer = new TokenIssuer(issuer.name, algorithm);
    const any = keys(signer.jwk({ alg: undefined }));
    expect(outcome(verifyToken(signer.token(), any, rules))).toBe("believed");
    for (const alg of others)
      expect(outcome(verifyToken(signer.token({}, { alg }), any, rules))).toBe("unknownKey");
  }
});

test("a public key is no secret for an HMAC", () => {
  for (const algorithm of ["RS256", "ES256", "EdDSA"]) {
    const signer = new TokenIssuer(issuer.name, algorithm);
    const set = keys(signer.jwk());
    expect(outcome(verifyToken(signer.macToken(), set, rules))).toBe("unsupportedAlgorithm");
  }
});

test("a signature as DER, which other formats have, is none", () => {
  const [header, payload] = issuer.token().split(".");
  const der = Buffer.concat([Buffer.from([0x30, 0x44, 0x02, 0x20]), Buffer.alloc(66, 1)]);
  const token = `${header}.${payload}.${der.toString("base64url")}`;
  expect(outcome(verifyToken(token, keys(issuer.jwk()), rules))).toBe("badSignature");
});

type Row = readonly [what: string, claims: JsonFields, result: TokenFaultName | "believed"];

const claimRows: readonly Row[] = [
  ["no times", {}, "believed"],
  ["expires later", { exp: now + 1 }, "believed"],
  ["expired just now", { exp: now - 59 }, "believed"],
  ["expired a minute ago", { exp: now - 60 }, "expired"],
  ["expired at the beginning", { exp: 0 }, "expired"],
  ["begins soon", { nbf: now + 60 }, "believed"],
  ["begins later than that", { nbf: now + 61 }, "notYetValid"],
  ["was issued in the future", { iat: now + 3_600 }, "believed"],
  ["another issuer", { iss: "https://issuer.example/" }, "unknownIssuer"],
  ["an issuer in other case", { iss: "https://Issuer.example" }, "unknownIssuer"],
  ["no issuer", { iss: undefined }, "unknownIssuer"],
];

test.each(claimRows)("%s: %p", (_, claims, result) => {
  expect(outcome(verifyToken(issuer.token(claims), keys(issuer.jwk()), rules))).toBe(result);
});

const audienceRows: readonly (readonly [
  wanted: readonly string[],
  claim: unknown,
  result: TokenFaultName | "believed",
])[] = [
  [[], undefined, "believed"],
  [[], "anybody", "believed"],
  [["a"], "a", "believed"],
  [["a"], ["b", "a"], "believed"],
  [["a", "b"], ["b"], "believed"],
  [["a"], undefined, "wrongAudience"],
  [["a"], [], "wrongAudience"],
  [["a"], "", "wrongAudience"],
  [["a"], "A", "wrongAudience"],
  [["a"], "a b", "wrongAudience"],
  [["https://a"], "https://a/", "wrongAudience"],
];

test.each(audienceRows)("audiences %p, aud %p: %p", (audiences, aud, result) => {
  const set = keys(issuer.jwk());
  expect(outcome(verifyToken(issuer.token({ aud }), set, { ...rules, audiences }))).toBe(result);
});

type KeyRow = readonly [
  what: string,
  header: JsonFields,
  set: readonly JsonFields[],
  result: TokenFaultName | "believed",
];

describe("which key is meant", () => {
  const other = new TokenIssuer(issuer.name, "ES256", "key-2");
  const rsa = new TokenIssuer(issuer.name, "RS256", "key-1");
  const unnamed = issuer.jwk({ kid: undefined });
  // biome-ignore format: a table reads as a table
  const rows: readonly KeyRow[] = [
    ["the one of that name", {}, [other.jwk(), issuer.jwk()], "believed"],
    ["none of that name", {}, [other.jwk()], "unknownKey"],
    ["the right key under another name", {}, [issuer.jwk({ kid: "key-2" })], "unknownKey"],
    ["another key under that name", {}, [stranger.jwk()], "badSignature"],
    ["two of that name", {}, [stranger.jwk(), issuer.jwk()], "believed"],
    ["one of that name and another type", {}, [rsa.jwk(), issuer.jwk()], "believed"],
    ["only one of another type", {}, [rsa.jwk()], "unknownKey"],
    ["a key without a name", {}, [other.jwk(), unnamed], "believed"],
    ["a token without a name", { kid: undefined }, [other.jwk(), issuer.jwk()], "believed"],
    ["an empty name", { kid: "" }, [issuer.jwk()], "unknownKey"],
    ["a path for a name", { kid: "../../dev/null" }, [issuer.jwk()], "unknownKey"],
    ["a name of every object", { kid: "__proto__" }, [issuer.jwk()], "unknownKey"],
    ["a key for another algorithm", {}, [issuer.jwk({ alg: undefined }), rsa.jwk()], "believed"],
  ];

  test.each(rows)("%s", (_, header, set, result) => {
    expect(outcome(verifyToken(issuer.token({}, header), keys(...set), rules))).toBe(result);
  });

  test("of many, a few are tried for a token that names none", () => {
    const strangers = Array.from({ length: 8 }, () => new TokenIssuer().jwk());
    const token = issuer.token({}, { kid: undefined });
    const at = (n: number): KeySet => keys(...strangers.slice(0, n), issuer.jwk());
    expect(outcome(verifyToken(token, at(7), rules))).toBe("believed");
    expect(outcome(verifyToken(token, at(8), rules))).toBe("badSignature");
  });

  test("a key within the token is nobody's", () => {
    const token = stranger.token({}, { jwk: stranger.jwk(), jku: "https://evil.example" });
    expect(outcome(verifyToken(token, keys(issuer.jwk()), rules))).toBe("badSignature");
  });
});

type TextRow = readonly [path: string, claims: JsonFields, texts: readonly string[] | undefined];

describe("what it says", () => {
  const verified = (claims: JsonFields, spaceDelimited?: readonly string[]): VerifiedToken => {
    const options = { ...rules, ...(spaceDelimited && { spaceDelimited }) };
    const result = verifyToken(issuer.token(claims), keys(issuer.jwk()), options);
    if ("fault" in result) throw new Error(result.fault);
    return result;
  };

  test("who it is", () => {
    const token = verified({ aud: "a", azp: "app", exp: now + 5 });
    const { issuer: iss, subject, principal, audiences, presenter, expiresMs } = token;
    expect({ iss, subject, principal, audiences, presenter, expiresMs }).toEqual({
      ...{ iss: issuer.name, subject: "alice", principal: "https://issuer.example/alice" },
      ...{ audiences: ["a"], presenter: "app", expiresMs: nowMs + 5_000 },
    });
    expect(JSON.parse(Buffer.from(token.payload, "base64url").toString())).toEqual(token.claims);
  });

  test("without a subject nobody is the principal", () => {
    expect(verified({ sub: undefined }).principal).toBe("");
  });

  // biome-ignore format: a table reads as a table
  const rows: readonly TextRow[] = [
    ["group",        { group: "a" },                        ["a"]],
    ["group",        { group: "a b" },                      ["a b"]],
    ["group",        { group: ["a", "b c"] },               ["a", "b c"]],
    ["group",        { group: [] },                         []],
    ["group",        { group: ["a", 1, true, null, {}] },   ["a", "1", "true"]],
    ["group",        { group: 1 },                          ["1"]],
    ["group",        { group: false },                      ["false"]],
    ["group",        { group: null },                       undefined],
    ["group",        { group: {} },                         undefined],
    ["group",        {},                                    undefined],
    ["scope",        { scope: "read  write " },             ["read", "write"]],
    ["scope",        { scope: ["read write"] },             ["read write"]],
    ["permission",   { permission: "a b" },                 ["a", "b"]],
    ["roles",        { roles: "a b" },                      ["a", "b"]],
    ["realm/roles",  { realm: { roles: "a b" } },           ["a b"]],
    ["realm/roles",  { realm: { roles: ["a"] } },           ["a"]],
    ["realm/roles",  { realm: ["roles"] },                  undefined],
    ["realm/roles",  { "realm/roles": "a" },                undefined],
    ["realm/length", { realm: "abc" },                      undefined],
    ["constructor",  {},                                    undefined],
    ["a/__proto__",  { a: {} },                             undefined],
  ];

  test.each(rows)("%s of %p: %p", (path, claims, texts) => {
    expect(claimTexts(verified(claims, ["roles"]), path.split("/"))).toEqual(texts);
  });

  test.each([
    [[], ["permission", "scope"]],
    [
      ["roles", "custom"],
      ["custom", "permission", "roles", "scope"],
    ],
    [
      ["scope", "custom"],
      ["custom", "permission", "scope"],
    ],
  ])("claims that are lists: %p and those that always are", (further, all) => {
    expect(spaceDelimitedClaims(further)).toEqual(all);
  });
});
