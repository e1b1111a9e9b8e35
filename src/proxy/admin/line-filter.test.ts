/** Which lines of a page are shown. */
import { expect, test } from "bun:test";
import { expectLinear } from "../../testing/growth.ts";
import { lineFilter } from "./line-filter.ts";

function shows(filter: string, line: string): boolean | string {
  const isShown = lineFilter(new URLSearchParams({ filter }));
  return typeof isShown === "string" ? isShown : isShown(line);
}

test.each<[filter: string, line: string, shown: boolean]>([
  ["", "a: 1", true],
  ["^a", "a: 1", true],
  ["^1", "a: 1", false],
  ["requests|errors", "mesh_errors_total: 1", true],
])("%p of %p: %p", (filter, line, shown) => {
  expect(shows(filter, line)).toBe(shown);
});

test("a pattern that would keep the proxy busy for ever does not", () => {
  expectLinear((n) => shows("^(a*)*$", `${"a".repeat(n)}!`), 1_000);
});
