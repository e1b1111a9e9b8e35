/** The policy language, as the operators write it. */
import { expect, test } from "bun:test";
import { MutableBag } from "../attribute/bag.ts";
import { Fault } from "../attribute/fault.ts";
import { Vocabulary } from "../attribute/vocabulary.ts";
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

test("operators of one rank go from left to right", () => {
  const compiled = compileExpression('a | b + "c" | a == "x"', vocabulary);
  expect(compiled.ok && compiled.expression.canonical).toBe(
    'EQ(OR(ADD(OR($a, $b), "c"), $a), "x")',
  );
});

test("hostile text is refused, not followed down", () => {
  for (const source of ["(".repeat(10_000), "!".repeat(10_000), `n${"+n".repeat(8_000)}`])
    expect(String(evaluate(source))).toContain(source.length > 16_384 ? "more than" : "than");
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
  expect(uriFault("http://[::1")).toContain("missing ']' in host");
  expect(urisEqual("http://HOST.COM:", "http://host.com")).toBe(true);
  expect(urisEqual("http://host/%61", "http://host/a")).toBe(false);
  expect(urisEqual("urn:A", "urn:a")).toBe(false);
});
