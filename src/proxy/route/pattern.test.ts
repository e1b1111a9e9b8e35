/** Regular expressions of operators: RE2's meaning, in linear time. */
import { describe, expect, test } from "bun:test";
import { RE2JS } from "re2js";
import { compilePattern, type Pattern } from "./pattern.ts";

function pattern(source: string, ignoreCase = false): Pattern {
  const compiled = compilePattern(source, ignoreCase);
  if (typeof compiled === "string") throw new Error(compiled);
  return compiled;
}

describe("a pattern", () => {
  // biome-ignore format: a table reads as a table
  const rows: readonly [source: string, text: string, matches: boolean][] = [
    ["abc",            "abc",    true],
    ["abc",            "abcd",   false],
    ["abc",            "xabc",   false],
    ["a.c",            "abc",    true],
    ["a*",             "",       true],
    ["/v[0-9]+",       "/v12",   true],
    ["/v[0-9]+",       "/v",     false],
    ["/v[^/]+",        "/va/b",  false],
    [".*jason.*",      "xjasony", true],
    ["(a|b)+",         "abab",   true],
    ["(?i)abc",        "ABC",    true],
    ["\\d{3}",         "123",    true],
    ["\\d{3}",         "1234",   false],
    ["a\\.b",          "a.b",    true],
    ["a\\.b",          "axb",    false],
    ["^/a$",           "/a",     true],
  ];
  for (const [source, text, matches] of rows)
    test(`${source} ${matches ? "matches" : "does not match"} "${text}"`, () => {
      expect(pattern(source).matches(text)).toBe(matches);
    });

  test("ignores case where it is told to", () => {
    expect(pattern("a[b-c]", true).matches("AC")).toBe(true);
    expect(pattern("abc", true).matches("ABC")).toBe(true);
  });

  test("says what is wrong with it", () => {
    expect(compilePattern("(a", false)).toContain("missing closing");
    expect(compilePattern("(?=a)", false)).toBeString();
    expect(compilePattern("(a)\\1", false)).toBeString();
    expect(compilePattern("a".repeat(1_025), false)).toContain("longer than 1024");
  });
});

test("no pattern takes more than linear time on what a peer sends", () => {
  for (const source of ["(a+)+", "(a|a)*b", "(.*)*x", "a*a*a*a*a*b", ".*.*.*=.*"]) {
    const compiled = pattern(source);
    const [short, long] = [time(compiled, 2_000), time(compiled, 16_000)];
    expect(long).toBeLessThan(Math.max(short, 0.5) * 40);
  }
});

/** The best of a few, in milliseconds. */
function time(compiled: Pattern, length: number): number {
  const text = `${"a".repeat(length)}!`;
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 12; i++) {
    const started = performance.now();
    compiled.matches(text);
    best = Math.min(best, performance.now() - started);
  }
  return best;
}

test("a pattern that runs natively means what RE2 means by it", () => {
  const sources = [
    "/a",
    "/a.*",
    "[a-c]+",
    "[^/]*",
    "a\\.b",
    "/v\\d+",
    "",
    "a+b",
    ".",
    "x/[a-z_]+",
    "a b",
  ];
  const texts = [
    "",
    "/a",
    "/ab",
    "abc",
    "a.b",
    "axb",
    "/v1",
    "/v",
    "aab",
    "x/a_b",
    "a/b",
    "é",
    "a b",
    "-",
  ];
  for (const source of sources)
    for (const text of texts)
      expect([source, text, pattern(source).matches(text)]).toEqual([
        source,
        text,
        RE2JS.compile(source).matches(text),
      ]);
});
