/** A gateway's certificates come, change and go as files. */
import { afterEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../core/clock.ts";
import { Log } from "../../core/log.ts";
import { Metrics } from "../../telemetry/metrics.ts";
import { renderPrometheus } from "../../telemetry/prometheus.ts";
import { CertificateAuthority } from "../../testing/certificate-authority.ts";
import { SecretFiles } from "./secret-files.ts";

const root = new CertificateAuthority();
const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

function setUp(given = true, asksClients = false) {
  const directory = mkdtempSync(join(tmpdir(), "mesh-secret-"));
  closers.push(() => rmSync(directory, { recursive: true }));
  const lines: string[] = [];
  const metrics = new Metrics();
  const secrets = new SecretFiles({
    directory: given ? directory : undefined,
    asksClients: given && asksClients,
    clock: systemClock,
    log: new Log("test", { level: "info" }, (line) => void lines.push(line)),
    metrics,
    watch: { settleMs: 1, pollMs: 5 },
  });
  closers.push(() => secrets.close());
  const write = (name: string, host: string, untilMs?: number): void => {
    const issued = root.issue({
      name: host,
      for: [`DNS:${host}`],
      ...(untilMs !== undefined && { untilMs }),
    });
    mkdirSync(join(directory, "default", name), { recursive: true });
    writeFileSync(join(directory, "default", name, "tls.crt"), issued.chain);
    writeFileSync(join(directory, "default", name, "tls.key"), issued.key);
  };
  return { directory, secrets, lines, metrics, write };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await Bun.sleep(2);
}

test("a secret is two files in a folder of its name and namespace", () => {
  const { secrets, write, metrics, lines } = setUp();
  const untilMs = Date.now() + 3_600_000;
  write("my.shop", "shop.example", untilMs);
  secrets.use(new Set(["my.shop.default"]));
  expect(secrets.find("my.shop.default")?.names).toEqual(["shop.example"]);
  expect(secrets.find("other.default")).toBeUndefined();
  expect(lines).toEqual([]);
  expect(renderPrometheus([metrics])).toContain(
    `{certificate="my.shop.default"} ${Math.floor(untilMs / 1_000)}\n`,
  );
});

test("one that is missing is said, with its place, and found when it comes", async () => {
  const { secrets, write, lines, metrics } = setUp();
  secrets.use(new Set(["shop.default"]));
  expect(secrets.find("shop.default")).toBeUndefined();
  expect(lines.join("")).toContain("default/shop/tls.crt: it cannot be read (ENOENT)");
  expect(renderPrometheus([metrics])).toContain('{certificate="shop.default"} 0\n');
  write("shop", "shop.example");
  await until(() => secrets.find("shop.default") !== undefined);
});

test("a bad one leaves the last good one, and says so", async () => {
  const { secrets, write, lines, directory } = setUp();
  write("shop", "old.example");
  secrets.use(new Set(["shop.default"]));
  writeFileSync(join(directory, "default", "shop", "tls.key"), "nonsense");
  await until(() => lines.length > 0);
  expect(lines.join("")).toContain("the last good one stays");
  expect(lines.join("")).toContain("tls.key");
  expect(secrets.find("shop.default")?.names).toEqual(["old.example"]);
  write("shop", "new.example");
  await until(() => secrets.find("shop.default")?.names[0] === "new.example");
});

test("what no rule names any more is forgotten, its series too", () => {
  const { secrets, write, metrics } = setUp();
  write("shop", "shop.example");
  secrets.use(new Set(["shop.default"]));
  secrets.use(new Set());
  expect(secrets.find("shop.default")).toBeUndefined();
  expect(renderPrometheus([metrics])).not.toContain("shop.default");
});

test("what clients' certificates have to lead to lies beside the one that they are shown", () => {
  const { secrets, write, lines, directory } = setUp(true, true);
  write("a", "a.example");
  write("b", "b.example");
  writeFileSync(join(directory, "default", "a", "ca.crt"), root.certificate);
  secrets.use(new Set(["a.default", "b.default"]));
  const trusts = (name: string): number | undefined => secrets.trustFor(secrets.find(name)!)?.count;
  expect([trusts("a.default"), trusts("b.default")]).toEqual([1, undefined]);
  expect(lines.join("")).toContain("b/ca.crt: it cannot be read (ENOENT)");
});

test("no name leads out of the directory", () => {
  const { secrets, lines } = setUp();
  const names = ["..default", "a/b.default", "a.../etc", "../x.default", "x.", "x", ".x"];
  secrets.use(new Set(names));
  expect(lines.length).toBe(names.length);
  expect(lines.every((line) => line.includes("it is not called NAME.NAMESPACE"))).toBe(true);
});

test("without a directory every certificate is missing, and that is said once", () => {
  const { secrets, lines } = setUp(false);
  secrets.use(new Set(["shop.default"]));
  secrets.use(new Set(["shop.default"]));
  expect(lines.length).toBe(1);
  expect(lines[0]).toContain("--certificates DIR is not given");
});
