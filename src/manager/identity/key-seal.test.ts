/** Keys at rest: only the key file opens them. */
import { afterEach, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KeySeal } from "./key-seal.ts";

const directory = mkdtempSync(join(tmpdir(), "mesh-seal-"));
const path = join(directory, "ca-key.key");
afterEach(() => {
  for (const name of readdirSync(directory)) rmSync(join(directory, name));
});

const secret = Buffer.from("a private key");

describe("what was sealed", () => {
  const seal = KeySeal.random();
  const sealed = seal.seal(secret, "root 1");

  test("opens with the same key and name, and with no other", () => {
    expect(seal.open(sealed, "root 1")?.equals(secret)).toBe(true);
    expect(seal.open(sealed, "root 2")).toBeUndefined();
    expect(KeySeal.random().open(sealed, "root 1")).toBeUndefined();
  });

  test("does not open after any change", () => {
    for (let at = 0; at < sealed.length; at++) {
      const changed = Buffer.from(sealed);
      changed[at] = changed[at]! ^ 1;
      expect(seal.open(changed, "root 1")).toBeUndefined();
      expect(seal.open(sealed.subarray(0, at), "root 1")).toBeUndefined();
    }
  });

  test("hides it, and looks different every time", () => {
    expect(sealed.includes(secret)).toBe(false);
    expect(seal.seal(secret, "root 1").equals(sealed)).toBe(false);
  });
});

describe("the key file", () => {
  test("is made once, for its owner only, and nothing else is left", () => {
    const first = KeySeal.createdIn(path);
    const sealed = first.seal(secret, "root");
    expect(KeySeal.createdIn(path).open(sealed, "root")?.equals(secret)).toBe(true);
    expect(KeySeal.fromFile(path).open(sealed, "root")?.equals(secret)).toBe(true);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(directory)).toEqual(["ca-key.key"]);
  });

  test.each([
    ["hexadecimal", `${"ab".repeat(32)}\n`],
    ["base64", `${Buffer.alloc(32, 0xab).toString("base64")}\n`],
    ["bytes", Buffer.alloc(32, 0xab)],
  ])("may be %s", (_, text) => {
    writeFileSync(path, text);
    const sealed = KeySeal.fromFile(path).seal(secret, "root");
    writeFileSync(path, "ab".repeat(32));
    expect(KeySeal.fromFile(path).open(sealed, "root")?.equals(secret)).toBe(true);
  });

  test.each([
    ["empty", ""],
    ["short", "ab".repeat(31)],
    ["long", "ab".repeat(33)],
    ["of another alphabet", "xy".repeat(32)],
    ["huge", "ab".repeat(10_000)],
  ])("is refused when it is %s", (_, text) => {
    writeFileSync(path, text);
    expect(() => KeySeal.fromFile(path)).toThrow("a key is 32 bytes");
  });

  test("has to be there where the operator holds it", () => {
    expect(() => KeySeal.fromFile(path)).toThrow("ENOENT");
    chmodSync(directory, 0o700);
  });
});
