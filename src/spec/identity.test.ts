/**
 * An operator's day with identities, by the built binary: two managers that share their authority,
 * a workload that joins by a token, a second one that tries the same token, a rotation.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { freePorts } from "../testing/free-port.ts";
import { openssl } from "../testing/openssl.ts";
import { type Sidecar, startSidecar } from "./mesh.ts";
import { ctl, type Running, Stage, until } from "./process.ts";

setDefaultTimeout(60_000);
const stage = new Stage();
afterAll(() => stage.close());

const [plainA, secureA, plainB, secureB] = freePorts(4) as [number, number, number, number];

function startManager(name: string, plain: number, secure: number): Running {
  const directories = ["--data-dir", join(stage.directory, name), "--identity-dir"];
  return stage.mesh([
    ...["manager", "--listen", `127.0.0.1:${plain}`, "--secure-listen", `127.0.0.1:${secure}`],
    ...["--http", "off", "--metrics", "off", ...directories, join(stage.directory, "identity")],
  ]);
}

async function operator(plain: number, ...args: readonly string[]) {
  return await ctl("--manager", `http://127.0.0.1:${plain}`, ...args);
}

let token = "";

beforeAll(async () => {
  const managers = [startManager("a", plainA, secureA), startManager("b", plainB, secureB)];
  for (const manager of managers)
    await until(`a manager; it said ${manager.output()}`, () => /ready/.test(manager.output()));
  const { out } = await operator(plainA, "token", "create", "--service", "web.default");
  token = stage.file("web.token", out);
});

const remote = ["--manager", `https://127.0.0.1:${secureB}`];
let web: Sidecar;

test("managers that share their identities have one root", async () => {
  const [a, b] = [
    await operator(plainA, "certs", "roots"),
    await operator(plainB, "certs", "roots"),
  ];
  expect(a.out).toStartWith("-----BEGIN CERTIFICATE-----");
  expect(b.out).toBe(a.out);
  const files = { "root.pem": a.out };
  const verify = ["verify", "-x509_strict", "-CAfile", "root.pem", "root.pem"];
  expect(openssl(verify, files)).toMatchObject({ code: 0 });
});

test("a token of one lets a workload in at the other, which it knows by that token", async () => {
  web = await startSidecar(stage, [...remote, "--service", "web.default", "--token", token]);
  await until(`an identity; it said ${web.running.output()}`, async () => {
    const { out } = await operator(plainB, "certs", "--admin", `127.0.0.1:${web.admin}`);
    return out.includes("spiffe://cluster.local/ns/default/sa/web");
  });
  const { out } = await operator(plainA, "certs", "issued", "--limit", "1");
  expect(out).toMatch(
    /spiffe:\/\/cluster\.local\/ns\/default\/sa\/web +sidecar +- +in 23h +join token/,
  );
});

test("and nobody after it", async () => {
  const port = (): string => `127.0.0.1:${freePorts(1)[0]}`;
  const second = stage.mesh([
    ...["proxy", ...remote, "--service", "web.default", "--token", token],
    ...["--outbound", port(), "--inbound", port(), "--admin", port(), "--readiness", port()],
    ...["--state-dir", join(stage.directory, "second")],
  ]);
  await until(`a refusal; it said ${second.output()}`, () =>
    second.output().includes("the join token is unknown, revoked, expired or used up"),
  );
  const { out } = await operator(plainB, "audit", "--refused");
  expect(out).toMatch(/certificate refused +web\.default +join token .*as often as it may be/);
});

test("a new root reaches workloads before it signs, by whichever manager", async () => {
  expect(await operator(plainA, "certs", "rotate", "--after", "2s")).toMatchObject({ code: 0 });
  await until("both roots at the workload", async () => {
    const { out } = await operator(plainB, "certs", "--admin", `127.0.0.1:${web.admin}`);
    return (out.match(/Mesh root/g) ?? []).length === 2;
  });
  await until("the new root to sign", async () => {
    const { out } = await operator(plainB, "certs");
    return /^former root .* trusted until /m.test(out);
  });
  expect((await operator(plainB, "proxies")).out).toContain("synced");
});
