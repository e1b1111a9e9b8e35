/** Names of hosts: what is one, and what a wildcard stands for. */
import { expect, test } from "bun:test";
import { isHostName, isNamePattern, wildcardOf } from "./host-name.ts";

test.each([
  ["a", true],
  ["reviews.default.svc.cluster.local", true],
  ["_dmarc.x-1.example", true],
  ["10.0.0.1", true],
  [`${"a".repeat(63)}.b`, true],
  ["", false],
  ["a.", false],
  [".a", false],
  ["a..b", false],
  ["A.b", false],
  ["a b", false],
  ["a\nb", false],
  ["a:80", false],
  ["*.a.b", false],
  [`${"a".repeat(64)}.b`, false],
  [`${"a.".repeat(127)}a`, false],
])("%j is a host name: %j", (name, is) => {
  expect(isHostName(name)).toBe(is);
});

test.each([
  ["a.b", true],
  ["*.b.c", true],
  ["*.c", false],
  ["*", false],
  ["a.*.c", false],
  ["*a.b.c", false],
  ["*.*.b.c", false],
])("%j is a name pattern: %j", (pattern, is) => {
  expect(isNamePattern(pattern)).toBe(is);
});

test("a wildcard stands for one whole label", () => {
  expect(wildcardOf("a.b.c")).toBe("*.b.c");
  expect(wildcardOf("x.a.b.c")).toBe("*.a.b.c");
  expect(wildcardOf("localhost")).toBe("");
});
