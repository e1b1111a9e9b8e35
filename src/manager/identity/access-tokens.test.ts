/** Tokens of people: whose each is, and when it is nobody's. */
import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HOUR_MS, openIdentity } from "../../testing/identity-set-up.ts";
import { SIDECAR } from "./grant.ts";

const PIN = "p".repeat(43);

test("a token says who it is of, until it expires or is revoked", () => {
  const { identity, clock, close } = openIdentity();
  const { accessTokens } = identity;
  const wish = { name: "ann", role: "operator", author: "loopback", pin: PIN } as const;
  const brief = accessTokens.create({ ...wish, lifetimeMs: HOUR_MS });
  const lasting = accessTokens.create({ ...wish, name: "ben", role: "admin", lifetimeMs: 0 });
  expect(accessTokens.find(brief.text)).toMatchObject({ name: "ann", role: "operator" });
  clock.advance(HOUR_MS);
  expect(accessTokens.find(brief.text)).toBeUndefined();
  expect(accessTokens.find(lasting.text)).toMatchObject({ name: "ben", role: "admin" });
  expect(accessTokens.revoke(lasting.token.id)).toBe(true);
  expect(accessTokens.find(lasting.text)).toBeUndefined();
  expect(accessTokens.revoke(lasting.token.id)).toBe(false);
  close();
});

test("with anything changed it is nobody's; what names the root is no secret", () => {
  const { identity, close } = openIdentity();
  const { accessTokens } = identity;
  const wish = { name: "ann", role: "admin", lifetimeMs: 0, author: "", pin: PIN } as const;
  const { text } = accessTokens.create(wish);
  expect(accessTokens.find(text.slice(0, -1 - PIN.length))).toBeDefined();
  const end = text.length - PIN.length - 1;
  for (let at = 0; at < end; at++) {
    const other = text[at] === "a" ? "b" : "a";
    expect(accessTokens.find(text.slice(0, at) + other + text.slice(at + 1))).toBeUndefined();
  }
  for (const token of ["", "mesh-access", `${text}.x`, text.repeat(50), text.slice(0, -1)])
    expect(accessTokens.find(token)).toBeUndefined();
  close();
});

test("what is kept holds no secret and no key, and is its owner's alone", () => {
  const directory = mkdtempSync(join(tmpdir(), "mesh-tokens-"));
  const path = join(directory, "identity.db");
  const { identity, close } = openIdentity({ path });
  const common = { author: "", pin: PIN, lifetimeMs: HOUR_MS };
  const access = identity.accessTokens.create({ ...common, name: "ann", role: "admin" });
  const subject = { identity: "spiffe://a/ns/b/sa/c", service: "c.b", uses: 1, ...SIDECAR };
  const joining = identity.joinTokens.create({ ...common, ...subject });
  for (const file of [path, `${path}-wal`]) expect(statSync(file).mode & 0o77).toBe(0);
  close();
  const kept = readFileSync(path, "latin1");
  for (const { text } of [access, joining]) expect(kept).not.toContain(text.split(".")[2]!);
  expect(kept).toContain("BEGIN CERTIFICATE");
  expect(kept).not.toContain("PRIVATE KEY");
  rmSync(directory, { recursive: true });
});
