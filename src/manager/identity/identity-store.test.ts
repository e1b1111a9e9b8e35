/** What a store that an earlier version wrote is taken for. */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HOUR_MS, openIdentity } from "../../testing/identity-set-up.ts";
import { SIDECAR } from "./grant.ts";

const REVIEWS = "spiffe://cluster.local/ns/default/sa/reviews";

/** Before tokens had modes and labels: schema 1. */
function makeOlder(path: string): void {
  const database = new Database(path);
  for (const table of ["join_token", "issued"])
    for (const column of ["mode", "labels"])
      database.run(`ALTER TABLE ${table} DROP COLUMN ${column}`);
  database.run("PRAGMA user_version = 1");
  database.close();
}

test("tokens and certificates from before there were modes are a sidecar's", async () => {
  const directory = mkdtempSync(join(tmpdir(), "mesh-identity-store-"));
  const path = join(directory, "identity.db");
  const first = openIdentity({ path });
  const { text } = first.identity.joinTokens.create({
    ...{ identity: REVIEWS, service: "reviews.default", author: "ann", pin: "x".repeat(43) },
    ...{ uses: 2, lifetimeMs: HOUR_MS, mode: "gateway", labels: { version: "v1" } },
  });
  const credential = { kind: "join token", text } as const;
  expect(await first.issue({ credential })).toBe("issued");
  const [issued] = first.identity.issued.list(1);
  first.close();
  makeOlder(path);
  const { identity, issue, close } = openIdentity({ path, seal: first.seal, clock: first.clock });
  const [token] = identity.joinTokens.list();
  expect(token).toMatchObject({ identity: REVIEWS, used: 1, ...SIDECAR });
  expect(identity.issued.grantOf(issued!.serial)).toEqual({ ...SIDECAR, origin: token!.id });
  expect(await issue({ credential, mode: "gateway" })).toStartWith("denied: the credential is of");
  expect(await issue({ credential })).toBe("issued");
  close();
  rmSync(directory, { recursive: true });
});

test("of many certificates the old ones are forgotten, and none that is in force", () => {
  const { identity, clock, close } = openIdentity();
  const { issued, options } = identity;
  const record = (serial: string, lifetimeMs: number): void => {
    const nowMs = clock.wallMs();
    const times = { issuedMs: nowMs, notAfterMs: nowMs + lifetimeMs };
    const row = { serial, identity: REVIEWS, by: "", address: "", ...times };
    issued.record(row, { mode: "gateway", labels: {}, origin: "3f", services: [] });
  };
  options.store.transaction(() => {
    record("aa", HOUR_MS);
    record("bb", 100 * HOUR_MS);
    clock.advance(2 * HOUR_MS);
    for (let i = 0; i < 101_000; i++) record("cc", HOUR_MS);
  });
  expect(issued.grantOf("AA")).toBeUndefined();
  expect(issued.grantOf("BB")).toMatchObject({ mode: "gateway", origin: "3f" });
  close();
});
