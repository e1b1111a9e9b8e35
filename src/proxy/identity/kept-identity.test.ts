/** An identity that outlives its proxy in a file: its owner's alone, or it is not used. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Log } from "../../core/log.ts";
import { loadIdentity, remedyOf, storedIdentity, storeIdentity } from "./kept-identity.ts";

const pair = { chainPem: "chain", keyPem: "key" };
let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "mesh-kept-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

test("whatever the umask, nobody else may read it", () => {
  const path = join(directory, "identity.pem");
  const before = process.umask(0);
  storeIdentity(path, pair);
  process.umask(before);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(loadIdentity(path)?.chainPem).toBe("key\nchain\n");
});

test.each([0o640, 0o604, 0o620])("one that others may touch (%p) is said, and not used", (mode) => {
  const path = join(directory, "identity.pem");
  storeIdentity(path, pair);
  chmodSync(path, mode);
  expect(() => loadIdentity(path)).toThrow("may be read by others (chmod 600)");
  const lines: string[] = [];
  const log = new Log("agent", { level: "warn" }, (line) => void lines.push(line));
  expect(storedIdentity(path, log)).toBeUndefined();
  expect(lines[0]).toContain("the identity of an earlier run is not used");
});

test("none is none", () => {
  expect(loadIdentity(join(directory, "none"))).toBeUndefined();
});

test("what a person can do goes by what it was started with", () => {
  const none = { tokenFile: undefined, token: undefined, jwtFile: undefined };
  expect(remedyOf({ ...none, tokenFile: "/t" }, "web.default")).toBe(
    "mesh ctl token create --service web.default > /t",
  );
  expect(remedyOf({ ...none, jwtFile: "/j" }, "web.default")).toEndWith(" in /j");
  expect(remedyOf({ ...none, token: "mesh1.a.secret.b" }, "")).not.toContain("secret");
  expect(remedyOf(none, "")).toContain("--token FILE");
});
