/** Memory that is given back is gone, and the process works as before. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { giveMemoryBack } from "./resident-memory.ts";

function residentFileKb(): number {
  const status = readFileSync("/proc/self/status", "utf8");
  return Number(/RssFile:\s+(\d+)/.exec(status)?.[1]);
}

test.skipIf(process.platform !== "linux")("code that is not used leaves memory", () => {
  const before = residentFileKb();
  giveMemoryBack();
  expect(residentFileKb()).toBeLessThan(before);
  expect(JSON.parse(JSON.stringify({ still: ["working"] }))).toEqual({ still: ["working"] });
});
