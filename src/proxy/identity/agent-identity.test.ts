/** A proxy as a process of its own gets an identity, and who needs it hears of that. */
import { afterEach, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CertificateAuthority } from "../../testing/certificate-authority.ts";
import { FakeManager } from "../../testing/fake-manager.ts";
import { freePorts } from "../../testing/free-port.ts";
import { nodeTls, until } from "../../testing/tls-echo.ts";
import type { CertificateView } from "../admin/certificate-page.ts";

setDefaultTimeout(60_000);
const MAIN = join(import.meta.dir, "..", "..", "main.ts");
const root = new CertificateAuthority();
const web = "spiffe://cluster.local/ns/default/sa/web";
let directory: string;
let manager: FakeManager;
let app: ReturnType<typeof Bun.serve>;
const running: Bun.Subprocess[] = [];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "mesh-identity-"));
  app = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("app") });
  manager = await new FakeManager().start();
  manager.authority = root;
  manager.first = {
    config: {
      version: "v1",
      trust: { trustDomain: "cluster.local", rootPems: [root.certificate] },
    },
  };
});
afterEach(async () => {
  for (const child of running.splice(0)) {
    child.kill("SIGKILL");
    await child.exited;
  }
  await manager.kill();
  await app.stop(true);
  rmSync(directory, { recursive: true, force: true });
});

function start(flags: readonly string[], environment: Record<string, string> = {}) {
  const [outbound, inbound, admin, readiness] = freePorts(4);
  const ports = { outbound, inbound, admin, readiness };
  const given = Object.entries(ports).flatMap(([name, port]) =>
    flags.includes(`--${name}`) ? [] : [`--${name}`, `127.0.0.1:${port}`],
  );
  const command = [process.execPath, MAIN, "proxy", "--manager", manager.url, ...given, ...flags];
  const child = Bun.spawn([...command, "--state-dir", directory], {
    env: { ...process.env, ...environment },
    stdio: ["ignore", "ignore", "pipe"],
  });
  running.push(child);
  return { child, ports };
}

const serving = (): string[] => [
  ...["--service", "web", "--app-port", String(app.port), "--service-port", "80"],
];

async function page(port: number | undefined, path: string): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${port}${path}`).catch(() => undefined);
  return (await answer?.text()) ?? "";
}

async function certs(port: number | undefined): Promise<CertificateView | undefined> {
  const text = await page(port, "/certs");
  return text.startsWith("{") ? JSON.parse(text) : undefined;
}

async function named(port: number | undefined): Promise<CertificateView> {
  let view: CertificateView | undefined;
  for (
    let tries = 0;
    view === undefined || view.identity === "" || view.trustDomain === "";
    tries++
  ) {
    if (tries > 2_000) throw new Error("it has no identity");
    await Bun.sleep(5);
    view = await certs(port);
  }
  return view;
}

test.each(["1", "2"])("it is known, shown and used; threads: %s", async (concurrency) => {
  const { ports } = start([...serving(), "--concurrency", concurrency]);
  const view = await named(ports.admin);
  expect(view).toMatchObject({
    identity: web,
    chain: [{ uris: [web], issuer: "CN=Test root" }],
    trustDomain: "cluster.local",
    roots: [{ subject: "CN=Test root" }],
    lastFailure: "",
  });
  expect(JSON.stringify(view)).not.toContain("PRIVATE");
  await until(() => manager.workloads.size === 1, "the registration");
  expect([...manager.workloads.values()][0]).toMatchObject({
    mutualTls: true,
    serviceAccount: "web",
  });
  const own = root.issue({ name: "b", for: ["URI:spiffe://cluster.local/ns/default/sa/b"] });
  for (let i = 0; i < 6; i++) {
    const { socket, received } = await nodeTls(ports.inbound!, {
      ...{ cert: own.chain, key: own.key, ALPNProtocols: ["mesh-http/1.1"] },
    });
    expect(socket.getPeerX509Certificate()?.subjectAltName).toBe(`URI:${web}`);
    socket.write("GET / HTTP/1.1\r\nHost: web\r\n\r\n");
    await until(() => received().endsWith("app"), "the answer");
    socket.destroy();
  }
  const stats = await page(ports.admin, "/stats/prometheus");
  expect(stats).toMatch(/^mesh_certificate_expiry_seconds 8\d{4}$/m);
  expect(stats).toContain("mesh_certificate_held 1");
  expect(stats).toMatch(/^istio_requests_total\{[^}]*connection_security_policy="mutual_tls"/m);
});

test("nothing of it is on disk, and the application does not see the token", async () => {
  const command = ["--", "sh", "-c", `env > ${directory}/environment; sleep 60`];
  const { ports } = start(command, { MESH_JOIN_TOKEN: "mesh1.a.b.c" });
  await named(ports.admin);
  expect(manager.issued[0]?.credential).toEqual({ case: "joinToken", value: "mesh1.a.b.c" });
  await until(() => readdirSync(directory).includes("environment"), "the application");
  await until(() => statSync(join(directory, "environment")).size > 0, "its environment");
  for (const name of readdirSync(directory)) {
    if (!statSync(join(directory, name)).isFile()) continue;
    const text = readFileSync(join(directory, name), "latin1");
    expect(text).not.toContain("PRIVATE KEY");
    expect(text).not.toContain("mesh1.a.b.c");
  }
});

test("a successor has its predecessor's identity, from memory to memory", async () => {
  const ports = freePorts(4);
  const flags = ["outbound", "inbound", "admin", "readiness"].flatMap((name, i) => [
    ...[`--${name}`, `127.0.0.1:${ports[i]}`],
  ]);
  const first = start([...serving(), ...flags]);
  const { chain } = await named(ports[2]);
  await until(() => manager.workloads.size === 1, "the registration");
  manager.authority = undefined;
  start([...serving(), ...flags, "--restart"]);
  expect(await first.child.exited).toBe(0);
  const after = await named(ports[2]);
  expect(after.chain[0]?.serial).toBe(chain[0]!.serial);
  expect(manager.issued).toHaveLength(1);
});

test("a file that was asked for keeps it for the next run, for its owner alone", async () => {
  const file = join(directory, "identity.pem");
  const flags = [...serving(), "--identity-file", file, "--service-account", "billing"];
  const first = start(flags);
  const { identity, chain } = await named(first.ports.admin);
  expect(identity).toBe("spiffe://cluster.local/ns/default/sa/billing");
  expect(statSync(file).mode & 0o777).toBe(0o600);
  first.child.kill("SIGKILL");
  await first.child.exited;
  manager.authority = undefined;
  const second = start(flags);
  expect((await named(second.ports.admin)).chain[0]?.serial).toBe(chain[0]!.serial);
});

test("a certificate that comes late is told to callers when it is there", async () => {
  manager.authority = undefined;
  const { ports } = start(serving());
  await until(() => manager.workloads.size === 1, "the registration");
  expect([...manager.workloads.values()][0]?.mutualTls).toBe(false);
  expect(await page(ports.inbound, "/")).toBe("app");
  manager.authority = root;
  await until(() => [...manager.workloads.values()].at(-1)?.mutualTls === true, "the second");
  expect(await page(ports.inbound, "/")).toBe("app");
});

test("short-lived certificates are renewed again and again, and connections stay", async () => {
  manager.leafMs = 1_000;
  const { ports } = start(serving());
  await named(ports.admin);
  await until(async () => {
    const stats = await page(ports.admin, "/stats/prometheus");
    return Number(/^mesh_certificate_renewals_total (\d+)$/m.exec(stats)?.[1]) > 1;
  }, "renewals");
  expect(manager.issued.length).toBeGreaterThan(2);
  expect(await page(ports.inbound, "/")).toBe("app");
});
