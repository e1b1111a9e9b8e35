/** The failure table: what operators search logs for. */
import { expect, test } from "bun:test";
import { Failures } from "./failure.ts";

const rows = Object.entries(Failures);

test("every failure has its own reason, in lower case with hyphens", () => {
  const reasons = rows.map(([, failure]) => failure.reason);
  expect(new Set(reasons).size).toBe(reasons.length);
  for (const reason of reasons) expect(reason).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/);
});

test("a row knows its name and cannot be changed", () => {
  for (const [name, failure] of rows) {
    expect(failure.name).toBe(name);
    expect(Object.isFrozen(failure)).toBe(true);
  }
});

test("what a downstream did wrong is never tried again, and blames the downstream", () => {
  const downstream = rows.filter(([, f]) => f.http >= 400 && f.http < 500 && f.flag === "DPE");
  expect(downstream.length).toBeGreaterThan(8);
  for (const [, failure] of downstream) {
    expect(failure.origin).toBe("downstream");
    expect(failure.retry).toBe("never");
  }
});
