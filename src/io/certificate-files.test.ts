/** Certificates in files: what happens when they change, well and badly. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../core/clock.ts";
import { formatProblem, type Problem } from "../core/problem.ts";
import { CertificateAuthority, type Issued } from "../testing/certificate-authority.ts";
import { CertificateFiles } from "./certificate-files.ts";
import { CertificateStore } from "./certificate-store.ts";

const root = new CertificateAuthority();
const issue = (name: string) => root.issue({ name, for: [`DNS:${name}`] });
let home = "";
let files: CertificateFiles | undefined;
let reloads: (readonly Problem[])[] = [];
const store = { now: new CertificateStore() };

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "mesh-certificates-"));
  reloads = [];
  store.now = new CertificateStore();
});
afterEach(() => {
  files?.close();
  rmSync(home, { recursive: true, force: true });
});

function write(name: string, { chain, key }: Issued): void {
  writeFileSync(join(home, `${name}.crt`), chain);
  writeFileSync(join(home, `${name}.key`), key);
}

function watch(names: readonly string[], trust?: string): CertificateFiles {
  files = new CertificateFiles({
    pairs: names.map((name) => ({
      certificate: join(home, `${name}.crt`),
      key: join(home, `${name}.key`),
    })),
    ...(trust !== undefined && { trust: join(home, trust) }),
    clock: systemClock,
    store: store.now,
    onReload: (problems) => reloads.push(problems),
    watch: { settleMs: 5, pollMs: 20 },
  });
  return files;
}

const said = (problems: readonly Problem[]): string[] =>
  problems.map((problem) => formatProblem(problem).replaceAll(home, "HOME"));
const shown = (): string[] => store.now.certificates.map(({ subject }) => subject);

async function until(holds: () => boolean): Promise<void> {
  const giveUpAt = systemClock.nowMs() + 5_000;
  while (!holds()) {
    if (systemClock.nowMs() > giveUpAt) throw new Error(`5 s; ${JSON.stringify(reloads)}`);
    await Bun.sleep(2);
  }
}

test("a new pair replaces the old one", async () => {
  write("a", issue("a.example"));
  const { problems, isUsable } = watch(["a"]);
  expect({ problems, isUsable, shown: shown() }).toEqual({
    problems: [],
    isUsable: true,
    shown: ["CN=a.example"],
  });
  write("a", issue("b.example"));
  await until(() => shown()[0] === "CN=b.example");
  expect(reloads.at(-1)).toEqual([]);
});

test("half of a pair is a problem; the old pair stays until the other half is there", async () => {
  write("a", issue("a.example"));
  watch(["a"]);
  const next = issue("b.example");
  writeFileSync(join(home, "a.crt"), next.chain);
  await until(() => reloads.length > 0);
  expect(said(reloads.at(-1)!)).toEqual([
    "HOME/a.key:1:1: the key does not belong to the certificate in HOME/a.crt",
  ]);
  expect(shown()).toEqual(["CN=a.example"]);
  writeFileSync(join(home, "a.key"), next.key);
  await until(() => shown()[0] === "CN=b.example");
  expect(reloads.at(-1)).toEqual([]);
});

test("of two pairs the bad one keeps its last good form, the good one is replaced", async () => {
  write("a", issue("a.example"));
  write("b", issue("b.example"));
  watch(["a", "b"]);
  unlinkSync(join(home, "a.key"));
  write("b", issue("c.example"));
  await until(() => shown()[1] === "CN=c.example" && reloads.at(-1)?.length === 1);
  expect(said(reloads.at(-1)!)).toEqual(["HOME/a.key: it cannot be read (ENOENT)"]);
  expect(shown()).toEqual(["CN=a.example", "CN=c.example"]);
});

test("a start without a good pair is not usable, until the files are there", async () => {
  const started = watch(["a"]);
  expect(said(started.problems)).toEqual([
    "HOME/a.crt: it cannot be read (ENOENT)",
    "HOME/a.key: it cannot be read (ENOENT)",
  ]);
  expect(started.isUsable).toBe(false);
  write("a", issue("a.example"));
  await until(() => started.isUsable);
  expect(shown()).toEqual(["CN=a.example"]);
});

test("roots are read again, and bad ones leave the good", async () => {
  write("a", issue("a.example"));
  writeFileSync(join(home, "ca.pem"), root.certificate);
  const started = watch(["a"], "ca.pem");
  expect(started.trust?.count).toBe(1);
  const other = new CertificateAuthority("Other");
  writeFileSync(join(home, "ca.pem"), root.certificate + other.certificate);
  await until(() => started.trust?.count === 2);
  writeFileSync(join(home, "ca.pem"), "nothing");
  await until(() => reloads.at(-1)?.length === 1);
  expect(started.trust?.count).toBe(2);
  expect(started.isUsable).toBe(true);
  expect(said(started.problems)).toEqual([
    "HOME/ca.pem: there is no CERTIFICATE in PEM form in it",
  ]);
});

test("a Kubernetes Secret swaps a link to a directory: both halves at once", async () => {
  for (const [version, name] of [
    ["v1", "a.example"],
    ["v2", "b.example"],
  ] as const) {
    await mkdir(join(home, version));
    write(`${version}/a`, issue(name));
  }
  symlinkSync("v1", join(home, "now"));
  watch(["now/a"]);
  expect(shown()).toEqual(["CN=a.example"]);
  symlinkSync("v2", join(home, "next"));
  renameSync(join(home, "next"), join(home, "now"));
  await until(() => shown()[0] === "CN=b.example");
  expect(reloads).toEqual([[]]);
});
