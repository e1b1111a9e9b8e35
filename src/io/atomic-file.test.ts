/** A file that is replaced while it is being read, and while the writer is being killed. */
import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeFileAtomic } from "./atomic-file.ts";

const directory = mkdtempSync(join(tmpdir(), "atomic-file-"));
afterAll(() => rmSync(directory, { recursive: true }));

test("text and bytes are written whole, private, and replace what was there", () => {
  const path = join(directory, "a");
  writeFileAtomic(path, "grüße");
  expect(readFileSync(path, "utf8")).toBe("grüße");
  expect(statSync(path).mode & 0o777).toBe(0o600);
  writeFileAtomic(path, new Uint8Array([1, 2, 3]), 0o644);
  expect([...readFileSync(path)]).toEqual([1, 2, 3]);
  expect(statSync(path).mode & 0o777).toBe(0o644);
  expect(readdirSync(directory)).toEqual(["a"]);
});

test("a write that fails leaves the former file, and nothing beside it", () => {
  const path = join(directory, "occupied");
  mkdirSync(join(path, "child"), { recursive: true });
  expect(() => writeFileAtomic(path, "x")).toThrow();
  expect(readdirSync(path)).toEqual(["child"]);
  rmSync(path, { recursive: true });
  expect(() => writeFileAtomic(join(directory, "none", "x"), "x")).toThrow("ENOENT");
  expect(readdirSync(directory)).toEqual(["a"]);
});

test("a writer killed at any moment leaves a whole file", async () => {
  const path = join(directory, "killed");
  writeFileAtomic(path, "0".repeat(100_000));
  const module = join(import.meta.dir, "atomic-file.ts");
  const program = `
    const { writeFileAtomic } = await import(${JSON.stringify(module)});
    const path = ${JSON.stringify(path)};
    console.log("ready");
    for (let i = 1; ; i++) writeFileAtomic(path, String(i % 10).repeat(100_000));`;
  for (let round = 0; round < 5; round++) {
    const writer = Bun.spawn([process.execPath, "-e", program], { stdout: "pipe" });
    await writer.stdout.getReader().read();
    for (let turn = 0; turn < 10 * round; turn++) await new Promise(setImmediate);
    writer.kill("SIGKILL");
    await writer.exited;
    const text = readFileSync(path, "utf8");
    expect(text).toBe(text[0]!.repeat(100_000));
  }
});
