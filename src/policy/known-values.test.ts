/** What was made of values is found by them, and only by them. */
import { expect, test } from "bun:test";
import type { Value } from "../attribute/value.ts";
import { seededRandom } from "../core/random.ts";
import { KnownValues, knownMax } from "./known-values.ts";

test("values in any order of appearance", () => {
  const known = new KnownValues<string>();
  const rows: Value[][] = [
    ["a", "b", 200],
    ["a", "c", 200],
    ["a", "b", 404],
    ["x", "b", 404],
    ["a", "c", 5n ** 30n],
    ["a", "c", "200"],
    ["a", "c", true],
  ];
  expect(known.find(rows[0]!)).toBeUndefined();
  for (const row of rows) {
    expect(known.find(row)).toBeUndefined();
    known.remember(row, row.join());
  }
  for (const row of rows) expect(known.find([...row])).toBe(row.join());
  for (const row of [
    ["a", "b", 500],
    ["y", "b", 404],
    ["a", "d", 200],
    ["x", "b", 200],
  ] as Value[][])
    expect(known.find(row)).toBeUndefined();
});

test("none at all is one too", () => {
  const known = new KnownValues<number>();
  expect(known.find([])).toBeUndefined();
  known.remember([], 1);
  expect(known.find([])).toBe(1);
});

test("as a map by all of them would say, whatever comes", () => {
  const random = seededRandom(7);
  const known = new KnownValues<string>();
  const map = new Map<string, string>();
  for (let i = 0; i < 5_000; i++) {
    const row = Array.from({ length: 5 }, () => Math.floor(random() * 3));
    const key = row.join();
    expect(known.find(row)).toBe(map.get(key) as string);
    if (map.has(key)) continue;
    map.set(key, key);
    known.remember(row, key);
  }
});

test("it forgets before it grows over its size, and does not keep long texts", () => {
  const known = new KnownValues<number>();
  for (let i = 0; i < knownMax; i++) known.remember([`path ${i}`, "GET"], i);
  expect(known.find(["path 0", "GET"])).toBe(0);
  known.remember(["one more", "GET"], -1);
  expect(known.find(["path 0", "GET"])).toBeUndefined();
  expect(known.find(["one more", "GET"])).toBe(-1);
  const long = ["x".repeat(300), "GET"];
  known.remember(long, 5);
  expect(known.find(long)).toBeUndefined();
});
