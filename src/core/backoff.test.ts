/** Waiting and chance: the same seed gives the same run, and waiters spread out. */
import { expect, test } from "bun:test";
import { backoffMs } from "./backoff.ts";
import { seededRandom } from "./random.ts";

test("backoff doubles from the base to the ceiling", () => {
  const highest = () => 1 - Number.EPSILON;
  expect([0, 1, 2, 3, 9].map((n) => Math.round(backoffMs(n, 25, 250, highest)))).toEqual([
    25, 50, 100, 200, 250,
  ]);
});

test("jitter stays within the upper half", () => {
  const random = seededRandom(7);
  for (let i = 0; i < 1_000; i++) {
    const wait = backoffMs(3, 100, 10_000, random);
    expect(wait).toBeGreaterThanOrEqual(400);
    expect(wait).toBeLessThan(800);
  }
});

test("the same seed gives the same numbers, in [0, 1)", () => {
  const [a, b] = [seededRandom(42), seededRandom(42)];
  const first = Array.from({ length: 500 }, () => a());
  expect(first).toEqual(Array.from({ length: 500 }, () => b()));
  expect(Math.min(...first)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...first)).toBeLessThan(1);
  expect(first.reduce((x, y) => x + y) / 500).toBeCloseTo(0.5, 1);
});
