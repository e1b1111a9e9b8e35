/** The rows of the standards: what is a context, and what begins a new trace. */
import { expect, test } from "bun:test";
import {
  formatB3Single,
  formatTraceParent,
  formatTraceState,
  parseB3Decision,
  parseB3Multi,
  parseB3Single,
  parseTraceParent,
  parseTraceState,
} from "./trace-context.ts";

const trace = "12345678901234567890123456789012";
const span = "1234567890123456";

test("a traceparent is taken, with white space around it, and from later versions", () => {
  for (const [value, flags] of [
    [`00-${trace}-${span}-01`, 1],
    [` \t00-${trace}-${span}-00\t `, 0],
    [`00-${trace}-${span}-03`, 3],
    [`cc-${trace}-${span}-01`, 1],
    [`cc-${trace}-${span}-01-what-the-future-will-be-like`, 1],
  ] as const)
    expect(parseTraceParent([value])).toEqual({
      traceId: trace,
      parentId: span,
      sampled: (flags & 1) === 1,
      flags,
    });
});

test("a traceparent that is not valid is none", () => {
  for (const value of [
    "",
    `ff-${trace}-${span}-01`,
    `00-${trace}-${span}-01-more`,
    `00-${trace}-${span}-01.`,
    `cc-${trace}-${span}-01.x`,
    `0-${trace}-${span}-01`,
    `.0-${trace}-${span}-01`,
    `00-${"0".repeat(32)}-${span}-01`,
    `00-${trace}-${"0".repeat(16)}-01`,
    `00-${trace.slice(1)}-${span}-01`,
    `00-${trace}0-${span}-01`,
    `00-${trace}-${span.slice(1)}-01`,
    `00-${trace}-${span}-1`,
    `00-${trace}-${span}-001`,
    `00-${trace.replace("1", "A")}-${span}-01`,
    `00-${trace}-${span}-0x`,
  ])
    expect([value, parseTraceParent([value])]).toEqual([value, undefined]);
  expect(parseTraceParent([])).toBeUndefined();
  expect(parseTraceParent([`00-${trace}-${span}-01`, `00-${trace}-${span}-01`])).toBeUndefined();
});

test("what is sent on has version 00, the new span and no flag that it does not know", () => {
  const context = parseTraceParent([`cc-${trace}-${span}-ff-x`])!;
  expect(formatTraceParent(context, "aaaaaaaaaaaaaaaa")).toBe(`00-${trace}-aaaaaaaaaaaaaaaa-03`);
  expect(formatTraceParent(context)).toBe(`00-${trace}-${span}-03`);
});

test("tracestate fields are joined in order, empty members left out", () => {
  const members = parseTraceState(["foo=1 ,\t bar=2,,", "", "rojo=1", "t-1_*/@sys=x y"]);
  expect(formatTraceState(members!)).toBe("foo=1,bar=2,rojo=1,t-1_*/@sys=x y");
});

test("one member that is not valid, or one too many, drops the whole tracestate", () => {
  const many = (n: number): string => Array.from({ length: n }, (_, i) => `k${i}=v`).join(",");
  expect(parseTraceState([many(32)])?.length).toBe(32);
  expect(parseTraceState([many(16), many(17)])).toBeUndefined();
  const long = "a".repeat(256);
  expect(parseTraceState([`${long}=1`])?.length).toBe(1);
  expect(parseTraceState([`a=${long}`])?.length).toBe(1);
  for (const value of [
    "foo",
    "=1",
    "foo =1",
    "FOO=1",
    "foo.bar=1",
    "foo@=1",
    "@foo=1",
    "foo@@bar=1",
    "foo=",
    "foo=bar=baz",
    "foo=,bar=3",
    "foo=\u00e9",
    `${long}a=1`,
    `a=${long}a`,
    `foo@${"b".repeat(15)}=1`,
  ])
    expect([value, parseTraceState([value])]).toEqual([value, undefined]);
});

test("B3 in one field and in several says the same", () => {
  const expected = { traceId: trace, parentId: span, sampled: true, flags: 1 };
  expect(parseB3Single(`${trace}-${span}-1`)).toEqual(expected);
  expect(parseB3Single(` ${trace}-${span}-d-05e3ac9a4f6e3b90`)).toEqual(expected);
  const fields = { traceId: trace, spanId: span, sampled: "1", flags: undefined };
  expect(parseB3Multi(fields)).toEqual(expected);
  expect(parseB3Multi({ ...fields, sampled: undefined, flags: "1" })).toEqual(expected);
  expect(parseB3Multi({ ...fields, sampled: "false" })?.sampled).toBe(false);
  expect(parseB3Multi({ ...fields, sampled: undefined })?.sampled).toBeUndefined();
  expect(parseB3Single(`${trace}-${span}-0`)?.sampled).toBe(false);
  expect(parseB3Single("80F198EE56343BA8-E457B5A2E4D86BD1")).toEqual({
    traceId: "000000000000000080f198ee56343ba8",
    parentId: "e457b5a2e4d86bd1",
    sampled: undefined,
    flags: 0,
  });
});

test("B3 that is not valid is none, and a decision alone is only a decision", () => {
  for (const value of ["", "1", trace, `${trace}-${span}-2`, `${trace}-${span}-1-`, `x${trace}`])
    expect([value, parseB3Single(value)]).toEqual([value, undefined]);
  expect(parseB3Single(`${"0".repeat(32)}-${span}`)).toBeUndefined();
  const none = { traceId: undefined, spanId: span, sampled: "1", flags: undefined };
  expect(parseB3Multi(none)).toBeUndefined();
  expect(["0", "1", "d", "true", "False", "x"].map(parseB3Decision)).toEqual([
    false,
    true,
    true,
    true,
    false,
    undefined,
  ]);
});

test("B3 is written with the decision where there is one", () => {
  const context = parseB3Single(`${trace}-${span}`)!;
  expect(formatB3Single(context)).toBe(`${trace}-${span}`);
  expect(formatB3Single({ ...context, sampled: true }, "aaaaaaaaaaaaaaaa")).toBe(
    `${trace}-aaaaaaaaaaaaaaaa-1`,
  );
});
