/**
 * The manager's authority is lost: it comes back with its services and rules, and other roots.
 * Sidecars that run ask for other certificates by themselves, and traffic goes on.
 */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { CertificateView } from "../proxy/admin/certificate-page.ts";
import { freePorts } from "../testing/free-port.ts";
import { Load } from "./load.ts";
import { get, type Sidecar, startSidecar, untilKnown } from "./mesh.ts";
import { ctl, type Running, Stage, until } from "./process.ts";

setDefaultTimeout(120_000);
const HEALED_MS = 30_000;
const stage = new Stage();
afterAll(() => stage.close());

class Manager {
  readonly url: string;
  readonly secure: string;
  readonly #name: string;
  readonly #ports: readonly number[];
  #running: Running | undefined;

  constructor(name: string) {
    this.#name = name;
    this.#ports = freePorts(2);
    this.url = `http://127.0.0.1:${this.#ports[0]}`;
    this.secure = `https://127.0.0.1:${this.#ports[1]}`;
  }

  get #identityDir(): string {
    return join(stage.directory, this.#name, "identity");
  }

  async start(...flags: readonly string[]): Promise<void> {
    const [api, secure] = this.#ports;
    const running = stage.mesh([
      ...["manager", "--listen", `127.0.0.1:${api}`, "--secure-listen", `127.0.0.1:${secure}`],
      ...["--http", "off", "--metrics", "off", "--identity-dir", this.#identityDir],
      ...["--data-dir", join(stage.directory, this.#name), ...flags],
    ]);
    this.#running = running;
    await until(`a manager; it said ${running.output()}`, () =>
      running.output().includes("manager ready"),
    );
  }

  /** Without a word; what its authority was is gone. */
  async loseAuthority(): Promise<void> {
    this.#running!.child.kill("SIGKILL");
    await this.#running!.child.exited;
    rmSync(this.#identityDir, { recursive: true });
    await this.start();
  }

  /** SHA-256 of its first root. */
  async root(): Promise<string> {
    const { out } = await ctl("certs", "--manager", this.url);
    return /^root .* ([0-9a-f]{16})$/m.exec(out)?.[1] ?? "";
  }

  async token(name: string, service: string, path?: string): Promise<string> {
    const { out } = await ctl("token", "create", "--service", service, "--manager", this.url);
    return stage.file(path ?? `${name}.token`, out);
  }
}

async function page({ admin }: Sidecar, path: string): Promise<string> {
  return await (await fetch(`http://127.0.0.1:${admin}${path}`)).text();
}

/** Its certificate is by that root, and it believes in no other. */
async function isUnder(sidecar: Sidecar, root: string): Promise<boolean> {
  const { roots, chain }: CertificateView = JSON.parse(await page(sidecar, "/certs"));
  const [only] = roots;
  return roots.length === 1 && only!.sha256.startsWith(root) && chain[0]?.issuer === only!.subject;
}

test("on the manager's machine two sidecars are under the new root within seconds", async () => {
  const manager = new Manager("local");
  await manager.start();
  const app = stage.application("web was here");
  const by = ["--manager", manager.url];
  const serving = ["--app-port", String(app), "--service-port", "8000"];
  const callee = await startSidecar(stage, [...by, "--service", "web.default", ...serving]);
  const caller = await startSidecar(stage, [...by, "--service", "client.default"]);
  await untilKnown(caller, "web");
  const before = await manager.root();
  for (const sidecar of [callee, caller])
    await until("an identity", () => isUnder(sidecar, before));
  const load = new Load({ port: caller.outbound, host: "web:8000", connections: 4 }).start();
  await manager.loseAuthority();
  const after = await manager.root();
  expect(after).not.toBe(before);
  for (const sidecar of [callee, caller])
    await until("the new root", () => isUnder(sidecar, after), HEALED_MS);
  // Who comes now knows the new root alone, and has no connection yet.
  const latecomer = await startSidecar(stage, [...by, "--service", "late.default"]);
  await untilKnown(latecomer, "web");
  expect(await get(latecomer.outbound, "web:8000")).toMatchObject({ status: 200 });
  expect(await load.stop()).toMatchObject({ failures: [] });
  const stats = await page(callee, "/stats/prometheus");
  expect(stats).toMatch(/^mesh_certificate_trusted 1$/m);
  expect(stats).not.toMatch(/^istio_requests_total\{[^}]*connection_security_policy="none"/m);
  expect(callee.running.output()).toContain("another certificate is needed; asking for it");
});

test("elsewhere a new token in the file is enough, and until then is said to be", async () => {
  const manager = new Manager("remote");
  await manager.start();
  const app = stage.application("shop was here");
  const serving = ["--app-port", String(app), "--service-port", "8000"];
  const start = async (name: string, ...flags: readonly string[]): Promise<Sidecar> => {
    const token = await manager.token(name, `${name}.default`);
    const who = ["--service", `${name}.default`, "--token", token];
    return await startSidecar(stage, ["--manager", manager.secure, ...who, ...flags]);
  };
  const callee = await start("shop", ...serving);
  const caller = await start("buyer");
  await untilKnown(caller, "shop");
  const before = await manager.root();
  const load = new Load({ port: caller.outbound, host: "shop:8000", connections: 4 }).start();
  await manager.loseAuthority();
  await until("a word of what to do", () =>
    [callee, caller].every(({ running }) =>
      /manager is away.*its authority was lost; a new join token/.test(running.output()),
    ),
  );
  expect(await isUnder(callee, before)).toBe(true);
  expect((await get(caller.outbound, "shop:8000")).status).toBe(200);
  await manager.token("shop", "shop.default");
  await manager.token("buyer", "buyer.default");
  const after = await manager.root();
  for (const sidecar of [callee, caller])
    await until("the new root", () => isUnder(sidecar, after), HEALED_MS);
  expect((await get(caller.outbound, "shop:8000")).status).toBe(200);
  expect(await load.stop()).toMatchObject({ failures: [] });
  // A start with what is on disk, and a token that is used up: the certificate was kept nowhere.
  const { out } = await ctl("certs", "issued", "--manager", manager.url);
  expect(out).toMatch(/sa\/shop .*join token/);
});
