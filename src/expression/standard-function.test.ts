/** What the functions of the policy language answer. Spec table: mixer 5. */
import { describe, expect, test } from "bun:test";
import { MutableBag } from "../attribute/bag.ts";
import { Fault } from "../attribute/fault.ts";
import { Vocabulary } from "../attribute/vocabulary.ts";
import { expectLinear } from "../testing/growth.ts";
import { compileExpression } from "./expression.ts";

const vocabulary = new Vocabulary([
  ["text", "STRING"],
  ["pattern", "STRING"],
]);

function evaluate(source: string, values: Readonly<Record<string, string>> = {}): unknown {
  const compiled = compileExpression(source, vocabulary);
  if (!compiled.ok) return compiled.problem.message;
  const bag = new MutableBag(vocabulary);
  for (const [name, value] of Object.entries(values)) bag.set(name, { type: "STRING", value });
  const value = compiled.expression.evaluate(bag);
  return value instanceof Fault ? value.message : value;
}

describe("match", () => {
  test.each([
    ["ns1.svc.local", "ns1.*", true],
    ["ns1.svc.local", "ns2.*", false],
    ["svc1.ns1.cluster", "*.ns1.cluster", true],
    ["svc1.ns1.cluster", "*.ns2.cluster", false],
    ["abc", "abc", true],
    ["abcd", "abc", false],
    ["ab", "abc", false],
    ["abc", "ABC", false],
    ["", "", true],
    ["", "*", true],
    ["abc", "*", true],
    ["abc", "**", false],
    ["*c", "**", true],
    // The star at the end counts, the other one is a letter.
    ["abc", "*b*", false],
    ["*bc", "*b*", true],
    ["axb", "a*b", false],
    ["a*b", "a*b", true],
    ["a.b", "a?b", false],
  ])("%p is matched by %p: %p", (text, pattern, expected) => {
    expect(evaluate(`match(text, ${JSON.stringify(pattern)})`, { text })).toBe(expected);
    expect(evaluate("match(text, pattern)", { text, pattern })).toBe(expected);
  });
});

describe("regular expressions are the receiver, and match somewhere", () => {
  test.each<[pattern: string, text: string, expected: unknown]>([
    ["b+", "abbc", true],
    ["^b", "abc", false],
    ["", "abc", true],
    ["(?i)ABC", "xabc", true],
    [".", "\n", false],
    ["a$", "a\n", false],
    ["\\pL", "é", true],
    ["(?=a)", "a", "error parsing regexp: invalid or unsupported Perl syntax: `(?=`"],
    ["a**", "a", "error parsing regexp: invalid nested repetition operator: `**`"],
    ["a{1001}", "a", "error parsing regexp: invalid repeat count: `{1001}`"],
  ])("%p in %p: %p", (pattern, text, expected) => {
    expect(evaluate("pattern.matches(text)", { text, pattern })).toBe(expected as boolean);
    expect(evaluate(`${JSON.stringify(pattern)}.matches(text)`, { text })).toBe(
      expected as boolean,
    );
  });

  test("a pattern that others explode on costs as much as it is long", () => {
    const run = (n: number) => evaluate('"(a*)*b".matches(text)', { text: "a".repeat(n) });
    expectLinear(run, 2_000);
  });

  test("a pattern that is longer than anybody writes is refused", () => {
    expect(evaluate("pattern.matches(text)", { text: "a", pattern: "a".repeat(1_000) })).toBe(
      false,
    );
    expect(evaluate("pattern.matches(text)", { text: "a", pattern: "a".repeat(1_001) })).toBe(
      "regular expression of more than 1000 characters",
    );
  });
});

test.each<[source: string, expected: unknown]>([
  ['"abc".startsWith("ab")', true],
  ['"abc".startsWith("b")', false],
  ['"abc".startsWith("")', true],
  ['"abc".endsWith("bc")', true],
  ['"abc".endsWith("b")', false],
  ['ip("10.0.0.1") == ip("::ffff:10.0.0.1")', true],
  ['ip("10.0.0.1") == ip("::10.0.0.1")', false],
  ['ip("010.0.0.1")', "could not convert 010.0.0.1 to IP_ADDRESS"],
  ['ip("fe80::1%eth0")', "could not convert fe80::1%eth0 to IP_ADDRESS"],
  ['timestamp("2017-01-15T01:30:15Z") == timestamp("2017-01-15T02:30:15+01:00")', true],
  ['timestamp("2017-01-15T01:30:15Z") < timestamp("2017-01-15T01:30:15.000000001Z")', true],
  [
    'timestamp("2017-02-29T01:30:15Z") == timestamp("2017-01-15T01:30:15Z")',
    "could not convert '2017-02-29T01:30:15Z' to TIMESTAMP. " +
      "expected format: '2006-01-02T15:04:05Z07:00'",
  ],
  ['dnsName("Istio.IO.") == dnsName("istio.io")', true],
  ['dnsName("istio.io") == dnsName("www.istio.io")', false],
  ['email("a@Istio.io") == email("a@istio.IO")', true],
  ['email("A@istio.io") == email("a@istio.io")', false],
  ['uri("HTTP://istio.io/a") == uri("http://ISTIO.io/a")', true],
  ['uri("http://istio.io/a") == uri("http://istio.io/A")', false],
  ['uri("http://istio.io") == uri("http://istio.io:80")', false],
  ['uri("")', "error converting string to uri: empty string"],
  ['emptyStringMap()["a"] | "none"', "none"],
  ['emptyStringMap()["a"]', ""],
  ['conditionalString(1 < 2, "a", "b")', "a"],
  ['conditionalString(2 < 1, "a", "b")', "b"],
  ['conditionalString(true, "a", text)', "lookup failed: 'text'"],
  ['conditional(true, "a", text)', "a"],
  ['toLower("ÀÉ ΣΣ İ")', "àé σσ i"],
  ['size("")', 0],
  ['size("aé€😀")', 10],
])("%s", (source, expected) => {
  expect(evaluate(source)).toEqual(expected);
});

describe("text is written as in Go", () => {
  test.each<[literal: string, expected: unknown]>([
    [String.raw`"\\'"`, "\\'"],
    [String.raw`"\""`, '"'],
    [`'"'`, '"'],
    [String.raw`'\''`, "'"],
    [String.raw`"\101\x41\u0041\U00000041"`, "AAAA"],
    [String.raw`"\377"`, "\udcff"],
    [String.raw`"\a\b\f\n\r\t\v\\"`, "\x07\b\f\n\r\t\v\\"],
    ["`a\\n\r`", "a\\n"],
    [String.raw`"\'"`, String.raw`unknown escape sequence in "\'"`],
    [String.raw`"\400"`, String.raw`unknown escape sequence in "\400"`],
    [String.raw`"\U00110000"`, String.raw`unknown escape sequence in "\U00110000"`],
    [String.raw`"\ud800"`, String.raw`unknown escape sequence in "\ud800"`],
    [String.raw`"\8"`, String.raw`unknown escape sequence in "\8"`],
    [String.raw`"\x4"`, String.raw`unknown escape sequence in "\x4"`],
  ])("%s", (literal, expected) => {
    expect(evaluate(literal)).toBe(expected as string);
  });
});

test.each<[source: string, expected: unknown]>([
  ['dnsName("a..b")', `error converting 'a..b' to dns name: 'idna: invalid label "a..b"'`],
  ['dnsName("-a")', `error converting '-a' to dns name: 'idna: invalid label "-a"'`],
  [String.raw`dnsName("xn--bcher-kva.CH") == dnsName("B\u00dcCHER.ch")`, true],
  ['dnsName("a_b") == dnsName("a-b")', "idna: disallowed rune U+005F"],
  ['uri("http://[::1]/a") == uri("http://[0:0::1]/a")', true],
  ['uri("http://[::1]/a") == uri("http://[::2]/a")', false],
  ['uri("http://[1::1]/") == uri("http://[11::1]/")', false],
  ['ip("::ff:10.0.0.1") == ip("10.0.0.1")', false],
  ['ip("::ffff:0:0") == ip("0.0.0.0")', true],
  // Above the surrogates, text is in the order of its bytes and not of its halves.
  [String.raw`"\ufffd" < "\U0001f600"`, true],
  [String.raw`"\U0001f600" < "\U0001f601"`, true],
  [String.raw`"\xff" > "\U0010ffff"`, true],
  [String.raw`"\xc3" < "\u00e9"`, true],
  [String.raw`"\xed" < "\ue000"`, true],
  ['"a" < "a"', false],
  ['"a" < "ab"', true],
])("%s", (source, expected) => {
  expect(evaluate(source)).toEqual(expected);
});
