/** Values as text, and text compared with values. */
import { expect, test } from "bun:test";
import type { TypedValue } from "../attribute/value.ts";
import { plainNumber, sameText, timestampText, valueText } from "./value-text.ts";

test.each([
  [5, "5"],
  [0.1, "0.1"],
  [-0, "-0"],
  [1e21, "1000000000000000000000"],
  [1.5e-7, "0.00000015"],
  [-2.5e22, "-25000000000000000000000"],
  [Number.POSITIVE_INFINITY, "+Inf"],
  [Number.NEGATIVE_INFINITY, "-Inf"],
  [Number.NaN, "NaN"],
])("the double %p is written %p, never with an exponent", (value, text) => {
  expect(plainNumber(value)).toBe(text);
});

const text = (value: string): TypedValue => ({ type: "STRING", value });
const map: TypedValue = {
  type: "STRING_MAP",
  value: new Map([
    ["c", "d"],
    ["a", "b"],
  ]),
};
const second: TypedValue = { type: "DURATION", value: 1e9 };
const long: TypedValue = { type: "INT64", value: 2n ** 63n - 1n };
const moment: TypedValue = { type: "TIMESTAMP", value: { seconds: 0, nanos: 1_000 } };
const finer: TypedValue = { type: "TIMESTAMP", value: { seconds: 0, nanos: 1_001 } };
const address: TypedValue = { type: "IP_ADDRESS", value: new Uint8Array([1, 2, 3, 4]) };

test.each<[TypedValue | undefined, TypedValue | undefined, boolean]>([
  [undefined, undefined, true],
  [undefined, text(""), true],
  [undefined, long, false],
  [text("9223372036854775807"), long, true],
  [text("9223372036854775806"), long, false],
  [long, text("9223372036854775807"), true],
  [text("a=b&c=d"), map, true],
  [text("c=d&a=b"), map, true],
  [text("a=b"), map, false],
  [text("a=b&c=d&e=f"), map, false],
  [text("1000ms"), second, true],
  [text("1s1"), second, false],
  [text("1970-01-01T00:00:00.000001Z"), moment, true],
  [text("1970-01-01T00:00:00.000001Z"), finer, false],
  [text("::ffff:1.2.3.4"), address, true],
  [text("1.2.3.40"), address, false],
  [text("True"), { type: "BOOL", value: true }, true],
  [text("f"), { type: "BOOL", value: false }, true],
  [text("yes"), { type: "BOOL", value: true }, false],
  [text("1e3"), { type: "DOUBLE", value: 1_000 }, true],
  [text(""), { type: "DOUBLE", value: 0 }, false],
  [text(""), { type: "INT64", value: 0 }, false],
])("%p and %p: the same is %p", (a, b, same) => {
  expect(sameText(a, b)).toBe(same);
});

test("an absent value is the empty text; a map is sorted; a time ends at the microsecond", () => {
  expect([undefined, map, moment, finer].map(valueText)).toEqual([
    "",
    "a=b&c=d",
    "1970-01-01T00:00:00.000001Z",
    "1970-01-01T00:00:00.000001Z",
  ]);
  expect(timestampText({ seconds: -62_135_596_800, nanos: 0 })).toBe("0001-01-01T00:00:00.000000Z");
});
