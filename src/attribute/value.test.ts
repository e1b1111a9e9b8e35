/** The arithmetic of 64 bits on numbers that JavaScript holds in 53. */
import { expect, test } from "bun:test";
import { addInt64, type Int64, int64Max, int64Min, toInt64 } from "./value.ts";

const safe = Number.MAX_SAFE_INTEGER;

test("a sum is exact, and wraps like two's complement", () => {
  const rows: readonly (readonly [a: Int64, b: Int64, sum: Int64])[] = [
    [1, 2, 3],
    [-5, 3, -2],
    [safe, 0, safe],
    [safe, 1, 9007199254740992n],
    [9007199254740992n, -1, safe],
    [-safe, -1, -9007199254740992n],
    [9007199254740993n, 9007199254740993n, 18014398509481986n],
    [int64Max, 1, int64Min],
    [int64Min, -1, int64Max],
    [int64Max, int64Max, -2],
    [int64Min, int64Min, 0],
  ];
  for (const [a, b, sum] of rows) {
    expect(addInt64(a, b)).toBe(sum);
    expect(addInt64(b, a)).toBe(sum);
  }
});

test("one value has one form, so === compares", () => {
  expect(toInt64(5n)).toBe(5);
  expect(toInt64(BigInt(safe))).toBe(safe);
  expect(toInt64(BigInt(safe) + 1n)).toBe(9007199254740992n);
  expect(toInt64(2n ** 63n)).toBe(int64Min);
  expect(toInt64(2n ** 64n + 7n)).toBe(7);
  expect(Object.is(toInt64(0n), 0)).toBe(true);
});
