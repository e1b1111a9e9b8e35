/** The policy language, as the operators write it. */
import { expect, test } from "bun:test";
import { MutableBag } from "../attribute/bag.ts";
import { Fault } from "../attribute/fault.ts";
import { Vocabulary } from "../attribute/vocabulary.ts";
import { expectLinear } from "../testing/growth.ts";
import { compileExpression } from "./expression.ts";
import { dnsNamesEqual, emailFault, emailsEqual, uriFault, urisEqual } from "./name.ts";

const vocabulary = new Vocabulary([
  ["a", "STRING"],
  ["b", "STRING"],
  ["n", "INT64"],
  ["d", "DURATION"],
  ["m", "STRING_MAP"],
  ["t", "BOOL"],
]);
const bag = new MutableBag(vocabulary);
bag.set("a", { type: "STRING", value: "x" });
bag.set("n", { type: "INT64", value: 5 });
bag.set("d", { type: "DURATION", value: 1_000_000 });
bag.set("m", { type: "STRING_MAP", value: new Map([["k", "v"]]) });

function evaluate(source: string): unknown {
  const compiled = compileExpression(source, vocabulary);
  if (!compiled.ok) return compiled.problem.message;
  const value = compiled.expression.evaluate(bag);
  return value instanceof Fault ? value.message : value;
}

test("what an expression yields", () => {
  const rows: readonly (readonly [source: string, value: unknown])[] = [
    ['a == "x" && n == 5', true],
    ['b | m["none"] | "last"', "last"],
    ['m["none"]', ""],
    ['m["none"] | "last"', "last"],
    ['toLower(b) | "last"', "lookup failed: 'b'"],
    ["n + 9223372036854775807 < 0", true],
    ["n < 10 || t", true],
    ["n > 10 || t", "lookup failed: 't'"],
    ["conditional(n >= 5, a, b)", "x"],
    ['"^x+$".matches(a)', true],
    ['"(".matches(a)', "error parsing regexp: missing closing ): `(`"],
    ['size("\\xff\\u00e9")', 3],
    // Beyond the original.
    ['!(a == "x")', false],
    ["n == -(-5) && -n < 0", true],
    ['d >= "1ms" && d < "2ms" && d != "3ms"', true],
    ['a in ["y", "x"]', true],
    ["n in [1, 2] || a in []", false],
    ["b in []", "lookup failed: 'b'"],
    ["a in [b, a]", "lookup failed: 'b'"],
    ["a in [a, b]", true],
    ['ip("1.2.3.4") in [ip("::1"), ip("::ffff:1.2.3.4")]', true],
    ['ip(a) in [ip("::1")]', "could not convert x to IP_ADDRESS"],
    ['b | m["none"] | toLower("Y") | a', "y"],
    ['b | m["none"] | m["nothing"]', ""],
    ["b | b | b", "lookup failed: 'b'"],
    ['n == 5 && a == "x" && t', "lookup failed: 't'"],
    ["n == 5 && n == 6 && t", false],
    ["n == 5 && t && n == 6", "lookup failed: 't'"],
    ["n == 6 || t || n == 5", "lookup failed: 't'"],
    ['a + b + "c" + "d"', "lookup failed: 'b'"],
    ['(n == 5) in ["(".matches(a), true]', "error parsing regexp: missing closing ): `(`"],
    ['(n == 5) in ["(".matches("a"), true]', "error parsing regexp: missing closing ): `(`"],
    ["n == 6 || a == b || n == 5", "lookup failed: 'b'"],
    ['n == 6 || a == "x" || t', true],
    ['a + "b" + "c" + a', "xbcx"],
    ['a + "b" + b + toLower(b)', "lookup failed: 'b'"],
    ["9223372036854775807 + n + n + -5 == -9223372036854775804", true],
    ["0.1 + 0.2 + 0.3 == 0.1 + (0.2 + 0.3)", false],
  ];
  for (const [source, value] of rows) expect([source, evaluate(source)]).toEqual([source, value]);
});

test("what is wrong is said with its place", () => {
  const rows: readonly (readonly [source: string, message: string])[] = [
    ["n = 2", "unable to parse expression 'n = 2': 1:3: expected '==', found '='"],
    ["n\n== 2", "unable to parse expression 'n\n== 2': 2:1: expected 'EOF', found '=='"],
    ["n == 1.0", "EQ($n, 1.0) arg 2 (1.0) typeError got DOUBLE, expected INT64"],
    ['a | "5m"', 'OR($a, "5m") arg 2 ("5m") typeError got DURATION, expected STRING'],
    [
      "a.type",
      "unable to parse expression 'a.type': 1:3: expected selector or type assertion, found 'type'",
    ],
    ["a.c", "unknown attribute a.c"],
    ["a in 5", "unable to parse expression 'a in 5': 1:6: expected '[', found 5"],
    ["m == m", "internal compiler error -- equality for type not yet implemented: interface"],
  ];
  for (const [source, message] of rows)
    expect([source, evaluate(source)]).toEqual([source, message]);
});

test("a problem points at the part that is wrong", () => {
  const rows: readonly (readonly [source: string, at: string, message: string])[] = [
    ["t && c", "c", "unknown attribute c"],
    ["t && a.c.e == a", "a.c.e", "unknown attribute a.c.e"],
    ["t || reverse(a) == a", "reverse", "unknown function: reverse"],
    ["t || n * 2 == n", "* 2", "unknown function: MUL"],
    ["t && (a == 5)", "5)", "EQ($a, 5) arg 2 (5) typeError got INT64, expected STRING"],
    [
      't && a == n + size("abc")',
      "n + size",
      'EQ($a, ADD($n, size("abc"))) arg 2 (ADD($n, size("abc"))) typeError ' +
        "got INT64, expected STRING",
    ],
    [
      't && (a.startsWith("x") | t) == a',
      "a",
      'EQ(OR($a:startsWith("x"), $t), $a) arg 2 ($a) typeError got STRING, expected BOOL',
    ],
    [
      'n == a.startsWith("x")',
      "a.",
      'EQ($n, $a:startsWith("x")) arg 2 ($a:startsWith("x")) typeError got BOOL, expected INT64',
    ],
    [
      "t && n + 1",
      "n + 1",
      "LAND($t, ADD($n, 1)) arg 2 (ADD($n, 1)) typeError got INT64, expected BOOL",
    ],
    [
      't && m[a | "k"]',
      'm[a | "k"]',
      'LAND($t, INDEX($m, OR($a, "k"))) arg 2 (INDEX($m, OR($a, "k"))) typeError ' +
        "got STRING, expected BOOL",
    ],
    [
      "t && m[n + 1] == a",
      "n + 1",
      "INDEX($m, ADD($n, 1)) arg 2 (ADD($n, 1)) typeError got INT64, expected STRING",
    ],
    [
      't && (n + 1).startsWith("x")',
      "n + 1",
      'ADD($n, 1):startsWith("x") target typeError got INT64, expected STRING',
    ],
    [
      "t && !(n + 1)",
      "n + 1",
      "NOT(ADD($n, 1)) arg 1 (ADD($n, 1)) typeError got INT64, expected BOOL",
    ],
    [
      "t && a in [a, -n]",
      "-n",
      "IN($a, $a, SUB($n)) arg 3 (SUB($n)) typeError got INT64, expected STRING",
    ],
    [
      "t && conditional(t, a, n) == a",
      "n)",
      "conditional($t, $a, $n) arg 3 ($n) typeError got INT64, expected STRING",
    ],
    ["t && match(a) == t", "match", "match($a) arity mismatch. Got 1 arg(s), expected 2 arg(s)"],
    ["t && a.match(a)", "match", "invoking regular function on instance method: match"],
    [
      "t && startsWith(a)",
      "startsWith",
      "invoking instance method without an instance: startsWith",
    ],
    [
      "t && m == m",
      "== m",
      "internal compiler error -- equality for type not yet implemented: interface",
    ],
    [
      "t && t < t",
      "< t",
      "internal compiler error -- less than for type not yet implemented: bool",
    ],
    ["t && -a == a", "-a", "unary minus for type STRING"],
    ["t && m in [m]", "in [", "in for type STRING_MAP"],
  ];
  for (const [source, at, message] of rows) {
    const compiled = compileExpression(source, vocabulary);
    const problem = compiled.ok ? "none" : compiled.problem;
    expect([source, problem]).toEqual([source, { message, offset: source.lastIndexOf(at) }]);
  }
});

test("operators of one rank go from left to right", () => {
  const compiled = compileExpression('a | b + "c" | a == "x"', vocabulary);
  expect(compiled.ok && compiled.expression.canonical).toBe(
    'EQ(OR(ADD(OR($a, $b), "c"), $a), "x")',
  );
});

test("hostile text is refused, not followed down", () => {
  const rows: readonly (readonly [source: string, message: string])[] = [
    ["(".repeat(10_000), "nested deeper than 100"],
    ["!".repeat(10_000), "nested deeper than 100"],
    ["size(".repeat(10_000), "nested deeper than 100"],
    [`n${"+n".repeat(4_001)}`, "more than 4000 operators"],
    [`a in [${"a,".repeat(4_001)}]`, "more than 4000 operators"],
    [`a${" ".repeat(65_536)}`, "expression of more than 65536 characters"],
    [`a${"/*".repeat(10_000)}`, "comment not terminated"],
  ];
  for (const [source, message] of rows) expect(String(evaluate(source))).toEndWith(message);
});

test("as many operators as there may be are compiled and run", () => {
  const rows: readonly (readonly [source: string, value: unknown])[] = [
    [`n${"+n".repeat(3_999)} == 20000`, true],
    [`b${" | b".repeat(3_998)} | a`, "x"],
    [`b${' | b + ""'.repeat(2_000)}`, "lookup failed: 'b'"],
    [`a${' | b + ""'.repeat(2_000)}`, "x"],
    [`a == a${" == (n == 5)".repeat(1_999)}`, true],
    [`a in [${'"y", '.repeat(3_997)}"x"]`, true],
  ];
  for (const [source, value] of rows) expect(evaluate(source)).toBe(value);
});

test.each([
  ["&&", (n: number) => `t${" && n == 5".repeat(n)}`],
  ["|", (n: number) => `a${" | b".repeat(n)}`],
  ["+", (n: number) => `n${"+n".repeat(n)}`],
  ["constants", (n: number) => `"a"${'+"a"'.repeat(n)}`],
  ["| and +", (n: number) => `a${' | b + "c"'.repeat(n / 2)}`],
  ["==", (n: number) => `t${" == t".repeat(n)}`],
  ["in", (n: number) => `a in [${'"abc", '.repeat(n)}]`],
  ["in, computed", (n: number) => `a in [${"b, ".repeat(n)}]`],
  ["a long name", (n: number) => `a${".b".repeat(8 * n)}`],
  ["a type at fault", (n: number) => `t${" == t".repeat(n)} == 5`],
  ["a bad token", (n: number) => `a${"\n|b".repeat(n)} # a`],
  ["comments", (n: number) => `a${"/* ** */".repeat(n)} /*`],
])("four times the text is compiled in less than eight times the time: %s", (_, textOf) => {
  expectLinear((n) => void compileExpression(textOf(n), vocabulary), 800);
});

test("what an expression reads, and what a rule can be indexed by", () => {
  const compiled = compileExpression('a == "x" && 5 == n && (b == "y" || t)', vocabulary);
  if (!compiled.ok) throw new Error(compiled.problem.message);
  expect([...compiled.expression.reads]).toEqual([0, 2, 1, 5]);
  expect([...compiled.expression.pairs.keys()]).toEqual(["a", "n"]);
});

test("names are compared by what they mean", () => {
  expect(dnsNamesEqual("A.B.", "a.b")).toBe(true);
  expect(dnsNamesEqual("B\u00dcCHER.example", "xn--bcher-kva.example")).toBe(true);
  expect(dnsNamesEqual("*.foo", "*.FOO")).toEqual(new Fault("idna: disallowed rune U+002A"));
  expect(emailsEqual('"foo"@bar.com', "foo@BAR.com")).toBe(true);
  expect(emailFault("foo")).toBe("mail: missing '@' or angle-addr");
  for (const text of ["a@", "@b", "a@b..c", "a@b.", "a..b@c", "<a@b", "a b@c"])
    expect([text, emailFault(text)]).toEqual([text, "mail: no angle-addr"]);
  for (const [text, rest] of [
    ["a@b@c", "@c"],
    ["a@b, d@e", ", d@e"],
    ['"a b"@c  d', "d"],
  ] as const)
    expect(emailFault(text)).toBe(`mail: expected single address, got "${rest}"`);
  expect(uriFault("http://[::1")).toContain("missing ']' in host");
  expect(urisEqual("http://HOST.COM:", "http://host.com")).toBe(true);
  expect(urisEqual("http://host/%61", "http://host/a")).toBe(false);
  expect(urisEqual("urn:A", "urn:a")).toBe(false);
});
