/** What is taken out of whatever is shown, and what is not. */
import { describe, expect, test } from "bun:test";
import { expectLinear } from "../testing/growth.ts";
import { redactDocument, redactParameters, redactText } from "./redact.ts";

const JWT = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl";
const KEY = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIB+/=\n-----END EC PRIVATE KEY-----";

const texts: readonly (readonly [text: string, shown: string])[] = [
  ["redis://:hunter2@cache:6379/0", "redis://[redacted]@cache:6379/0"],
  ["http://ann:p@ss@host/path?q=a@b", "http://[redacted]@host/path?q=a@b"],
  ["http://host/a@b", "http://host/a@b"],
  ["mail ann@example.com", "mail ann@example.com"],
  [`authorization: Bearer ${JWT}`, "authorization: Bearer [redacted]"],
  ["Basic YW5uOmh1bnRlcjI=YW5u", "Basic [redacted]"],
  ["basic authentication is on", "basic authentication is on"],
  ["token mesh1.3f9a.c2VjcmV0.aGFzaA in use", "token mesh1.[redacted] in use"],
  ["token mesh1.3f9a.c2VjcmV0.aGFzaA.W10 in use", "token mesh1.[redacted] in use"],
  ["mesh-access.3f9a.c2VjcmV0", "mesh-access.[redacted]"],
  [`token=${JWT};`, "token=[redacted];"],
  [`a\n${KEY}\nb`, "a\n[redacted]\nb"],
  ["-----BEGIN PRIVATE KEY-----\nMHcC and no end", "[redacted]"],
  ["-----BEGIN CERTIFICATE-----\nMIIB", "-----BEGIN CERTIFICATE-----\nMIIB"],
  ["", ""],
];

test.each(texts)("%j is shown as %j", (text, shown) => {
  expect(redactText(text)).toBe(shown);
  expect(redactText(shown)).toBe(shown);
});

test("of parameters what has a secret's name, and every value of headers", () => {
  const parameters = {
    url: "https://ann:pw@hook.example/x",
    headers: { "x-api-key": "abc", accept: "text/plain" },
    quotas: [{ name: "requests", maxAmount: 5, password: "pw" }],
    redis: { authToken: "t", tokens: 5, empty_secret: "" },
    keys: [{ kty: "oct", k: "c2VjcmV0" }],
    isOpen: true,
    nothing: null,
  };
  const before = structuredClone(parameters);
  expect(redactParameters(parameters)).toEqual({
    url: "https://[redacted]@hook.example/x",
    headers: { "x-api-key": "[redacted]", accept: "[redacted]" },
    quotas: [{ name: "requests", maxAmount: 5, password: "[redacted]" }],
    redis: { authToken: "[redacted]", tokens: 5, empty_secret: "" },
    keys: [{ kty: "oct", k: "[redacted]" }],
    isOpen: true,
    nothing: null,
  });
  expect(parameters).toEqual(before);
});

describe("a document", () => {
  test("keeps its form, without what was read from it as a secret", () => {
    const text = 'spec:\n  headers: { x-key: "abc" } # abc\n  url: redis://u:p@h\n';
    expect(redactDocument(text, { headers: { "x-key": "abc" }, url: "redis://u:p@h" })).toBe(
      'spec:\n  headers: { x-key: "[redacted]" } # [redacted]\n  url: redis://[redacted]@h\n',
    );
  });

  test("is not shown at all where a secret is written in another way", () => {
    const text = 'password: "a\\u0062c"\n';
    expect(redactDocument(text, { password: "abc" })).toBe("# [redacted]: it holds a secret\n");
  });

  test("with one secret inside of another shows neither", () => {
    const parameters = { password: "abc", secret: "abcdef" };
    expect(redactDocument("p: abc\ns: abcdef\n", parameters)).toBe(
      "p: [redacted]\ns: [redacted]\n",
    );
  });
});

test.each([
  "://",
  "a",
  "-----BEGIN PRIVATE KEY-----",
  "-----BEGIN PRIVATE KEY-----\n-----END\n",
  "eyJaaaaaaaaa.",
  "eyJaaaaaaaaa-",
  "mesh1.a.",
  "Bearer ",
])("takes no longer than its share for many of %j", (part) => {
  expectLinear((n) => void redactText(part.repeat(n / part.length)), 40_000);
});
