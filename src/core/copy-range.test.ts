/** Octets are copied between arrays of any kind, within their bounds. */
import { expect, test } from "bun:test";
import { copyRange } from "./copy-range.ts";

test("a range is copied to its place, between views of other buffers too", () => {
  const backing = Uint8Array.from({ length: 32 }, (_, i) => i);
  const source = backing.subarray(8, 24);
  const target = new Uint8Array(12).subarray(2);
  expect(copyRange.call(source, target, 3, 4, 9)).toBe(5);
  expect([...target]).toEqual([0, 0, 0, 12, 13, 14, 15, 16, 0, 0]);
  expect(copyRange.call(Buffer.from("abc"), target, 0, 0, 3)).toBe(3);
  expect([...target.subarray(0, 4)]).toEqual([97, 98, 99, 12]);
});

test("an overlapping copy within one array is sound, and an empty one does nothing", () => {
  const bytes = Uint8Array.from([1, 2, 3, 4, 5]);
  copyRange.call(bytes, bytes, 1, 0, 4);
  expect([...bytes]).toEqual([1, 1, 2, 3, 4]);
  expect(copyRange.call(bytes, bytes, 0, 2, 2)).toBe(0);
});
