/** Who signs and who is trusted, over years, rotations, restarts and several managers. */
import { afterEach, describe, expect, test } from "bun:test";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  DAY_MS,
  HOUR_MS,
  type IdentityParts,
  type IdentitySetUp,
  openIdentity,
} from "../../testing/identity-set-up.ts";
import { openssl } from "../../testing/openssl.ts";
import { publicKeyOf } from "./certificate-issue.ts";

const directory = mkdtempSync(join(tmpdir(), "mesh-authority-"));
const path = join(directory, "identity.db");
const opened: IdentitySetUp[] = [];
afterEach(() => {
  for (const one of opened.splice(0)) one.close();
  for (const name of readdirSync(directory)) rmSync(join(directory, name));
});

function open(parts: IdentityParts = {}): IdentitySetUp {
  const one = openIdentity(parts);
  opened.push(one);
  return one;
}

/** A leaf's chain. */
function sign({ identity }: IdentitySetUp, lifetimeMs = Number.POSITIVE_INFINITY): string {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const names = [{ kind: "uri", value: "spiffe://cluster.local/ns/a/sa/b" }] as const;
  const request = { publicKey: publicKeyOf(privateKey), names, lifetimeMs };
  const { store } = identity.options;
  return store.transaction(() => identity.authority.sign(request)).chainPem;
}

/** Whether openssl finds a way from the leaf to one of the roots, at that time of day. */
function isTrusted(chain: string, roots: readonly string[], atMs: number): boolean {
  const files = { "leaf.pem": chain, "chain.pem": chain, "roots.pem": roots.join("") };
  const time = ["-attime", String(Math.floor(atMs / 1_000))];
  const trust = ["-CAfile", "roots.pem", "-untrusted", "chain.pem"];
  return openssl(["verify", "-x509_strict", ...time, ...trust, "leaf.pem"], files).code === 0;
}

const states = ({ identity }: IdentitySetUp): readonly string[] =>
  identity.authority.rows.map(({ state }) => state);

describe("a first root", () => {
  test("is made at the first start, and found again at the next", () => {
    const one = open({ path });
    const { roots } = one.identity.authority;
    expect(roots).toHaveLength(1);
    const root = new X509Certificate(roots[0]!);
    expect(root.validToDate.getTime() - one.clock.wallMs()).toBeGreaterThan(3_649 * DAY_MS);
    one.close();
    opened.length = 0;
    const { seal } = one;
    const other = open({ path, seal });
    expect(other.identity.authority.roots).toEqual(roots);
    expect(isTrusted(sign(other), roots, one.clock.wallMs())).toBe(true);
  });

  test("is of no use without the key file, and the manager says so at its start", () => {
    open({ path });
    expect(() => openIdentity({ path })).toThrow("--ca-key-file");
  });

  test("is one, however many managers start at once", () => {
    const first = open({ path });
    const others = Array.from({ length: 4 }, () => open({ path, seal: first.seal }));
    for (const { identity } of others)
      expect(identity.authority.roots).toEqual(first.identity.authority.roots);
    expect(isTrusted(sign(others[3]!), first.identity.authority.roots, Date.now())).toBe(true);
  });
});

test("processes that start at once make one key file and one root", async () => {
  const fixture = join(import.meta.dir, "../../testing/authority-race.ts");
  const said = await Promise.all(
    Array.from({ length: 4 }, () =>
      new Response(Bun.spawn([process.execPath, fixture, path]).stdout).text(),
    ),
  );
  expect(said[0]).toMatch(/^\d+ 1\n$/);
  expect(new Set(said).size).toBe(1);
});

describe("a leaf", () => {
  test("lives a day, from a little before now; or less if asked", () => {
    const one = open();
    const nowMs = one.clock.wallMs();
    const leaf = new X509Certificate(sign(one));
    expect(Math.abs(leaf.validToDate.getTime() - nowMs - DAY_MS)).toBeLessThan(2_000);
    expect(Math.abs(nowMs - leaf.validFromDate.getTime() - 300_000)).toBeLessThan(2_000);
    const brief = new X509Certificate(sign(one, HOUR_MS));
    expect(Math.abs(brief.validToDate.getTime() - nowMs - HOUR_MS)).toBeLessThan(2_000);
  });

  test("outlives no authority", () => {
    const one = open({ leafLifetimeMs: 30 * DAY_MS, rootLifetimeMs: 10 * DAY_MS });
    const root = new X509Certificate(one.identity.authority.roots[0]!);
    expect(new X509Certificate(sign(one)).validToDate).toEqual(root.validToDate);
  });
});

describe("rotation", () => {
  test("trusts the new root at once, signs with it a leaf's life later, forgets the old", () => {
    const one = open({ leafLifetimeMs: 6 * HOUR_MS });
    const { authority } = one.identity;
    const [former] = authority.roots;
    const old = sign(one);
    authority.rotate();
    expect(states(one)).toEqual(["active", "coming"]);
    expect(authority.roots).toHaveLength(2);
    one.clock.advance(6 * HOUR_MS - HOUR_MS);
    const late = sign(one);
    expect(isTrusted(late, [former!], one.clock.wallMs())).toBe(true);
    expect(isTrusted(late, [authority.roots[1]!], one.clock.wallMs())).toBe(false);
    one.clock.advance(HOUR_MS + 1_000);
    expect(states(one)).toEqual(["active", "former"]);
    const [next] = authority.roots;
    const fresh = sign(one);
    const nowMs = one.clock.wallMs();
    expect(isTrusted(fresh, [next!], nowMs)).toBe(true);
    // Who has not heard of it yet: the former root vouches for it.
    expect(isTrusted(fresh, [former!], nowMs)).toBe(true);
    expect(isTrusted(old, authority.roots, nowMs - HOUR_MS)).toBe(true);
    one.clock.advance(6 * HOUR_MS - 2 * HOUR_MS);
    expect(states(one)).toEqual(["active", "former"]);
    one.clock.advance(2 * HOUR_MS);
    expect(states(one)).toEqual(["active"]);
    expect(authority.roots).toEqual([next!]);
    // What the former one said of it is not sent any more: who knows that one alone refuses.
    expect(isTrusted(sign(one), [former!], one.clock.wallMs())).toBe(false);
    expect(isTrusted(late, authority.roots, one.clock.wallMs() - 6 * HOUR_MS)).toBe(false);
  });

  test("can be hurried, before it begins and later", () => {
    const one = open();
    one.identity.authority.rotate(1_000);
    one.clock.advance(1_000);
    expect(states(one)).toEqual(["active", "former"]);
    one.identity.authority.rotate();
    one.identity.authority.rotate(5_000);
    expect(states(one)).toEqual(["active", "coming", "former"]);
    one.clock.advance(5_000);
    expect(states(one)).toEqual(["active", "former", "former"]);
  });

  test("happens by itself in the last fifth of a root's life", () => {
    const one = open({ rootLifetimeMs: 10 * HOUR_MS, leafLifetimeMs: HOUR_MS / 10 });
    one.clock.advance(7 * HOUR_MS);
    expect(states(one)).toEqual(["active"]);
    one.clock.advance(1.5 * HOUR_MS);
    const [root] = one.identity.authority.roots;
    const leftMs = new X509Certificate(root!).validToDate.getTime() - one.clock.wallMs();
    expect(leftMs).toBeGreaterThan(9 * HOUR_MS);
    expect(states(one)).toEqual(["active"]);
  });

  test("is told to whoever listens, once a change", () => {
    const one = open({ leafLifetimeMs: HOUR_MS });
    let told = 0;
    const end = one.identity.onChange(() => void told++);
    one.identity.authority.rotate(1_000);
    expect(told).toBe(1);
    one.clock.advance(10_000);
    expect(told).toBe(2);
    one.clock.advance(3 * HOUR_MS);
    expect(told).toBe(3);
    end();
    one.identity.authority.rotate(1_000);
    expect(told).toBe(3);
  });

  test("by one manager is known to the others within a second", () => {
    const first = open({ path });
    const other = open({ path, seal: first.seal });
    first.identity.authority.rotate(2_000);
    other.clock.advance(1_000);
    expect(other.identity.authority.roots).toEqual(first.identity.authority.roots);
    other.clock.advance(2_000);
    expect(states(other)).toEqual(["active", "former"]);
    first.clock.advance(3_000);
    expect(states(first)).toEqual(["active", "former"]);
  });
});

test("a token's root is trusted as long as the token may be used", () => {
  const one = open({ leafLifetimeMs: HOUR_MS / 10 });
  const pin = one.identity.authority.pinFor(3 * HOUR_MS);
  const [former] = one.identity.authority.roots;
  const sha256 = new X509Certificate(former!).fingerprint256.replaceAll(":", "");
  expect(Buffer.from(pin, "base64url").toString("hex")).toBe(sha256.toLowerCase());
  one.identity.authority.rotate(1_000);
  one.clock.advance(2.9 * HOUR_MS);
  expect(one.identity.authority.roots).toContain(former!);
  one.clock.advance(0.2 * HOUR_MS);
  expect(one.identity.authority.roots).not.toContain(former!);
});
