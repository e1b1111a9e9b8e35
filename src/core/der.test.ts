/** DER: what is written is read again, and what DER would write otherwise is not read. */
import { expect, test } from "bun:test";
import { expectLinear } from "../testing/growth.ts";
import { der, derBits, derOid, derSequence, derTime, readDer, readDerOf, Tag } from "./der.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

test.each([
  [0, "0400"],
  [1, "0401"],
  [127, "047f"],
  [128, "048180"],
  [255, "0481ff"],
  [256, "04820100"],
  [65_535, "0482ffff"],
  [65_536, "0483010000"],
])("a length of %i is written as briefly as it can be, and read", (length, head) => {
  const content = Buffer.alloc(length, 7);
  const bytes = der(Tag.octetString, content);
  expect(bytes.subarray(0, head.length / 2).toString("hex")).toBe(head);
  const [element, ...others] = readDer(bytes) ?? [];
  expect(others).toEqual([]);
  expect(element?.tag).toBe(Tag.octetString);
  expect(element?.content.equals(content)).toBe(true);
  expect(element?.whole.equals(bytes)).toBe(true);
});

test.each([
  ["a length of one byte in two", `04 81 7f${"00".repeat(127)}`],
  ["a length of one byte in three", `04 82 00 ff${"00".repeat(255)}`],
  ["no definite length", "30 80 00 00"],
  ["a length in four bytes", "04 84 00 00 00 01 00"],
  ["a tag in two bytes", "1f 01 00"],
  ["a tag and no length", "04"],
  ["half a length", "04 82 01"],
  ["less than it says", "04 02 00"],
  ["something behind that is none", "05 00 04"],
])("%s is no DER", (_, text) => {
  expect(readDer(hex(text))).toBeUndefined();
});

test("elements stand one behind the other, and within each other", () => {
  const bytes = derSequence(derOid("2a03"), derSequence(derBits(hex("ff"))));
  const [oid, inner, ...others] = readDerOf(Tag.sequence, bytes) ?? [];
  expect(oid?.content.toString("hex")).toBe("2a03");
  expect(inner?.content.toString("hex")).toBe("030200ff");
  expect(others).toEqual([]);
});

test("one element means one, of that tag", () => {
  expect(readDerOf(Tag.sequence, hex("3000 3000"))).toBeUndefined();
  expect(readDerOf(Tag.sequence, hex("3100"))).toBeUndefined();
  expect(readDerOf(Tag.sequence, hex(""))).toBeUndefined();
  expect(readDerOf(Tag.sequence, hex("3000"))).toEqual([]);
});

test("cut anywhere, it is no DER", () => {
  const bytes = derSequence(der(Tag.octetString, Buffer.alloc(300)));
  for (let length = 1; length < bytes.length; length++)
    expect(readDer(bytes.subarray(0, length))).toBeUndefined();
});

test("years have two digits until 2049 (RFC 5280 4.1.2.5)", () => {
  expect(derTime(Date.UTC(2049, 11, 31, 23, 59, 59)).toString("latin1")).toBe(
    "\x17\r491231235959Z",
  );
  expect(derTime(Date.UTC(2050, 0, 1)).toString("latin1")).toBe("\x18\x0f20500101000000Z");
});

test("four times as many elements take at most eight times as long", () => {
  const bytes = Buffer.alloc(400_000, hex("0500"));
  expectLinear((n) => void readDer(bytes.subarray(0, 2 * n)), 50_000);
});
