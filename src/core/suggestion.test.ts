/** What a slip of the fingers was meant to be. */
import { expect, test } from "bun:test";
import { didYouMean, editDistance, nearest } from "./suggestion.ts";

const known = ["precedence", "destination", "match", "route"];

test.each([
  ["precedense", "precedence"],
  ["Destnation", "destination"],
  ["mathc", "match"],
  ["prec", "precedence"],
  ["mtch", "match"],
])("%s was meant to be %s", (word, meant) => {
  expect(nearest(word, known)).toBe(meant);
  expect(didYouMean(word, known)).toBe(`did you mean ${meant}?`);
});

test.each(["timeout", "moth", "x", ""])("%p was meant to be none of them", (word) => {
  expect(nearest(word, known)).toBeUndefined();
});

test("distances", () => {
  expect(editDistance("", "abc")).toBe(3);
  expect(editDistance("ab", "ba")).toBe(1);
  expect(editDistance("kitten", "sitting")).toBe(3);
});
