/** The operator's own authority, from files as other meshes and Kubernetes have them. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createCertificateRequest } from "../../io/certificate-request.ts";
import { CertificateAuthority } from "../../testing/certificate-authority.ts";
import { HOUR_MS, type IdentityParts, openIdentity } from "../../testing/identity-set-up.ts";
import { openssl } from "../../testing/openssl.ts";
import { AuthorityFiles, readFileAuthority } from "./authority-files.ts";

let directory = "";
const closing: (() => void)[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "mesh-ca-"));
});
afterEach(() => {
  for (const close of closing.splice(0).reverse()) close();
  rmSync(directory, { recursive: true });
});

const write = (files: Readonly<Record<string, string>>): void => {
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
};

/** An intermediate of `root`, as Istio's secret has it. */
function cacerts(root: CertificateAuthority, name = "Intermediate"): Record<string, string> {
  const below = new CertificateAuthority(name, root);
  return {
    "ca-cert.pem": below.certificate,
    "ca-key.pem": below.keyPem,
    "cert-chain.pem": below.certificate + root.certificate,
    "root-cert.pem": root.certificate,
  };
}

function open(parts: IdentityParts = {}) {
  const warnings: string[] = [];
  const files = new AuthorityFiles(
    directory,
    () => Date.now(),
    (line) => void warnings.push(line),
  );
  const set = openIdentity({ ...parts, files });
  closing.push(() => set.close());
  return { set, files, warnings };
}

async function chainOf({ set }: ReturnType<typeof open>): Promise<string> {
  const { csrPem } = await createCertificateRequest("");
  const call = { csrPem, credential: { kind: "caller" }, account: "", lifetimeMs: 0 } as const;
  const caller = { principal: { kind: "local", uid: 0 }, address: "" } as const;
  const result = await set.identity.issuance.issue({ ...call, service: "reviews", caller });
  if (result.at === "refused") throw new Error(result.refusal.reason);
  return result.leaf.chainPem;
}

function verify(chain: string, root: string, atMs = Date.now()): number | null {
  const files = { "leaf.pem": chain, "chain.pem": chain, "root.pem": root };
  const time = ["-attime", String(Math.floor(atMs / 1_000))];
  const args = ["-CAfile", "root.pem", "-untrusted", "chain.pem", "leaf.pem"];
  return openssl(["verify", ...time, ...args], files).code;
}

describe("signs with", () => {
  test("an intermediate of Istio's secret, which is sent; its root is not", async () => {
    const root = new CertificateAuthority("Acme root");
    write(cacerts(root));
    const one = open();
    const chain = await chainOf(one);
    expect(chain.match(/BEGIN/g)).toHaveLength(2);
    expect(verify(chain, root.certificate)).toBe(0);
    expect(one.set.identity.authority.roots).toEqual([root.certificate]);
  });

  test("a TLS secret of Kubernetes", async () => {
    const root = new CertificateAuthority("Acme root");
    const below = new CertificateAuthority("Intermediate", root);
    const files = { "tls.crt": below.certificate, "tls.key": below.keyPem };
    write({ ...files, "ca.crt": root.certificate });
    expect(verify(await chainOf(open()), root.certificate)).toBe(0);
  });

  test("a root itself, which is not sent", async () => {
    const root = new CertificateAuthority("Acme root");
    const files = { "ca-cert.pem": root.certificate, "ca-key.pem": root.keyPem };
    write({ ...files, "root-cert.pem": root.certificate });
    const chain = await chainOf(open());
    expect(chain.match(/BEGIN/g)).toHaveLength(1);
    expect(verify(chain, root.certificate)).toBe(0);
  });

  test("two levels between, in whatever order the chain is", async () => {
    const root = new CertificateAuthority("Acme root");
    const middle = new CertificateAuthority("Middle", root);
    const below = new CertificateAuthority("Below", middle);
    const pair = { "ca-cert.pem": below.certificate, "ca-key.pem": below.keyPem };
    const chain = root.certificate + middle.certificate + below.certificate;
    write({ ...pair, "cert-chain.pem": chain, "root-cert.pem": root.certificate });
    const issued = await chainOf(open());
    expect(issued.match(/BEGIN/g)).toHaveLength(3);
    expect(verify(issued, root.certificate)).toBe(0);
  });
});

describe("is refused, in words that name the file", () => {
  const root = new CertificateAuthority("Acme root");
  const good = cacerts(root);
  const stranger = new CertificateAuthority("Stranger");
  const leaf = root.issue({ name: "leaf" });
  const expired = root.issue({ name: "x", fromMs: 0, untilMs: 1 });
  const rows: readonly (readonly [
    what: string,
    files: Readonly<Record<string, string>>,
    why: string,
  ])[] = [
    ["no file", {}, "neither ca-cert.pem nor tls.crt is in it"],
    ["no certificate", { ...good, "ca-cert.pem": "hello" }, "ca-cert.pem: no certificate"],
    ["half of one", { ...good, "ca-cert.pem": good["ca-cert.pem"]!.slice(0, 200) }, "ca-cert.pem"],
    ["no key", { ...good, "ca-key.pem": "hello" }, "mesh-ca-"],
    ["another's key", { ...good, "ca-key.pem": stranger.keyPem }, "it is not the key of ca-cert"],
    ["a leaf", { ...good, "ca-cert.pem": leaf.chain, "ca-key.pem": leaf.key }, "(CA:TRUE)"],
    ["what expired", { ...good, "ca-cert.pem": expired.chain, "ca-key.pem": expired.key }, "CA:TR"],
    ["no root", { ...good, "root-cert.pem": "" }, "root-cert.pem: no root is in it"],
    ["another root", { ...good, "root-cert.pem": stranger.certificate }, "nothing leads from"],
    ["a leaf for a root", { ...good, "root-cert.pem": leaf.chain }, "no root is in it"],
  ];
  test.each(rows)("%s", (_, files, why) => {
    write(files);
    const read = readFileAuthority(directory, Date.now());
    expect(read).toMatchObject({ at: "refused" });
    expect(read.at === "refused" && read.why).toContain(why);
  });
});

describe("new files", () => {
  test("of the same root sign at once", async () => {
    const root = new CertificateAuthority("Acme root");
    write(cacerts(root, "First"));
    const one = open();
    write(cacerts(root, "Second"));
    await changed(one);
    const [, above = ""] = (await chainOf(one)).split(/(?=-----BEGIN)/);
    expect(new X509Certificate(above).subject).toBe("CN=Second");
    expect(one.set.identity.authority.roots).toEqual([root.certificate]);
  });

  test("of another root are trusted first, and sign when a leaf's life is over", async () => {
    const [root, other] = [new CertificateAuthority("One"), new CertificateAuthority("Other")];
    write(cacerts(root));
    const one = open({ leafLifetimeMs: HOUR_MS });
    write(cacerts(other));
    await changed(one);
    const { authority } = one.set.identity;
    expect(authority.roots).toEqual([root.certificate, other.certificate]);
    expect(verify(await chainOf(one), root.certificate)).toBe(0);
    one.set.clock.advance(HOUR_MS + 1_000);
    expect(verify(await chainOf(one), other.certificate, one.set.clock.wallMs())).toBe(0);
    expect(authority.roots).toEqual([other.certificate, root.certificate]);
    one.set.clock.advance(HOUR_MS + 120_000);
    expect(authority.roots).toEqual([other.certificate]);
  });

  test("after a restart, without the former key, sign at once", async () => {
    const path = join(directory, "identity.db");
    const [root, other] = [new CertificateAuthority("One"), new CertificateAuthority("Other")];
    write(cacerts(root));
    const before = open({ path });
    const { seal, clock } = before.set;
    before.set.close();
    closing.length = 0;
    write(cacerts(other));
    const one = open({ path, seal, clock });
    expect(verify(await chainOf(one), other.certificate)).toBe(0);
    expect(one.set.identity.authority.roots).toEqual([other.certificate, root.certificate]);
  });

  test("that are bad change nothing and are told", async () => {
    const root = new CertificateAuthority("Acme root");
    write(cacerts(root));
    const one = open();
    write({ "ca-key.pem": "hello" });
    while (one.warnings.length === 0) await Bun.sleep(5);
    expect(one.warnings[0]).toContain("the former authority goes on");
    expect(verify(await chainOf(one), root.certificate)).toBe(0);
  });
});

test("our own roots give way to the operator's, and are trusted while needed", async () => {
  const path = join(directory, "identity.db");
  const before = openIdentity({ path, leafLifetimeMs: HOUR_MS });
  const [own = ""] = before.identity.authority.roots;
  before.close();
  const root = new CertificateAuthority("Acme root");
  write(cacerts(root));
  const { seal, clock } = before;
  const one = open({ path, seal, clock, leafLifetimeMs: HOUR_MS });
  expect(one.set.identity.authority.roots).toEqual([own, root.certificate]);
  expect(verify(await chainOf(one), own)).toBe(0);
  clock.advance(HOUR_MS + 1_000);
  expect(verify(await chainOf(one), root.certificate, clock.wallMs())).toBe(0);
  expect(() => one.set.identity.authority.rotate()).toThrow("in files of the operator");
  one.set.close();
  closing.length = 0;
  expect(() => openIdentity({ path, seal, clock })).toThrow("start it with --ca-dir");
});

/** The watch has seen what was written. */
async function changed({ files }: ReturnType<typeof open>): Promise<void> {
  const { fingerprint } = files.current;
  while (files.current.fingerprint === fingerprint) await Bun.sleep(5);
}
