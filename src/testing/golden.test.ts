/** The comparison itself: equal passes, different and missing fail. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expectGolden } from "./golden.ts";

test("equal text passes, other text fails, and a missing file says what to do", () => {
  if (process.env.GOLDEN === "write") return;
  const directory = mkdtempSync(join(tmpdir(), "golden-"));
  const path = join(directory, "case.txt");
  expect(() => expectGolden(path, "a")).toThrow("GOLDEN=write");
  writeFileSync(path, "a");
  expectGolden(path, "a");
  expect(() => expectGolden(path, "b")).toThrow();
  rmSync(directory, { recursive: true });
});
