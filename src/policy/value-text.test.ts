/** Values as text, and text compared with values. */
import { expect, test } from "bun:test";
import type { TypedValue } from "../attribute/value.ts";
import { formatIp, parseIp } from "./ip-text.ts";
import { durationText, plainNumber, sameText, timestampText, valueText } from "./value-text.ts";

test.each<[nanoseconds: number | bigint, text: string]>([
  [0, "0s"],
  [1, "1ns"],
  [-1, "-1ns"],
  [999, "999ns"],
  [1_500, "1.5µs"],
  [12_345_678, "12.345678ms"],
  [1_000_000_000, "1s"],
  [61_000_000_000, "1m1s"],
  [3_600_000_000_000, "1h0m0s"],
  [90_061_500_000_000, "25h1m1.5s"],
  [-(2n ** 63n), "-2562047h47m16.854775808s"],
])("a duration of %p ns is written %p, as Go does", (nanoseconds, text) => {
  expect(durationText(nanoseconds)).toBe(text);
});

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

test.each([
  ["1.2.3.4", "1.2.3.4"],
  ["::ffff:1.2.3.4", "1.2.3.4"],
  ["::", "::"],
  ["::1", "::1"],
  ["2001:DB8::0:1", "2001:db8::1"],
  ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
  ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
  ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
  ["64:ff9b::1.2.3.4", "64:ff9b::102:304"],
  ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
])("the address %p is written %p", (written, text) => {
  expect(formatIp(parseIp(written)!)).toBe(text);
});

test.each([
  "",
  "1.2.3",
  "1.2.3.04",
  "1.2.3.256",
  "1::2::3",
  "12345::",
  ":1",
  "1.2.3.4:80",
  "::1%lo",
])("%p is no address", (written) => {
  expect(parseIp(written)).toBeUndefined();
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
