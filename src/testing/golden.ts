/**
 * Compares text with a file kept beside the test. `GOLDEN=write bun test …` writes the files anew;
 * the difference is then reviewed like any other.
 */
import { expect } from "bun:test";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** `path`: usually `${import.meta.dir}/x.golden/case.txt`. A missing file is a failure. */
export function expectGolden(path: string, actual: string): void {
  if (process.env.GOLDEN === "write") {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, actual);
  }
  if (!existsSync(path)) throw new Error(`${path} is missing: run with GOLDEN=write and review it`);
  expect(actual).toBe(readFileSync(path, "utf8"));
}
