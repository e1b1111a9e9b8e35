/** Durations as text. */
import { expect, test } from "bun:test";
import { formatDuration } from "./duration.ts";

test.each<[nanoseconds: number | bigint, text: string]>([
  [0, "0s"],
  [1, "1ns"],
  [-1, "-1ns"],
  [999, "999ns"],
  [1_500, "1.5µs"],
  [12_345_678, "12.345678ms"],
  [1_000_001, "1.000001ms"],
  [999_999_999, "999.999999ms"],
  [1_000_000_000, "1s"],
  [60_000_000_001, "1m0.000000001s"],
  [2 ** 53 - 1, "2501h59m59.254740991s"],
  [61_000_000_000, "1m1s"],
  [3_600_000_000_000, "1h0m0s"],
  [90_061_500_000_000, "25h1m1.5s"],
  [-(2n ** 63n), "-2562047h47m16.854775808s"],
])("a duration of %p ns is written %p, as Go does", (nanoseconds, text) => {
  expect(formatDuration(nanoseconds)).toBe(text);
});
