/**
 * Captured calls over IPv6, by rules that the built binary put in force and through its sidecars:
 * as those over IPv4, also through several threads and across a restart. Needs what
 * capture.test.ts needs.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { chownSync, rmSync } from "node:fs";
import { type Cable, cable, type Host, missing, skipped } from "../testing/network-namespace.ts";
import { get, PROXY_USER, resolvConf, rules, sidecar, statsOf } from "./captured-host.ts";
import { Stage } from "./process.ts";

const TIMEOUT_MS = 60_000;

/** One service with an address of each family, one that others call where it is. */
const SERVICES = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: web }
spec:
  hosts: [web.default.svc.cluster.local]
  addresses: [10.96.0.7, "fd96::7"]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 9080, name: http, protocol: HTTP }]
  endpoints: [{ address: 10.123.0.2 }]
`;
const APPLICATION = `Bun.serve({ port: 9080, hostname: "127.0.0.1",
  fetch: () => new Response("web") });
  Bun.listen({ port: 7000, hostname: "127.0.0.1", socket: { data() {},
    open(s) { s.write("greeting"); s.end(); } } });`;
const CALLED = "http://[fd77::2]:9080/";

let hosts: Cable;
let stage: Stage;

beforeEach(async () => {
  if (missing !== "") return;
  hosts = await cable();
  stage = new Stage();
  chownSync(stage.directory, PROXY_USER, PROXY_USER);
  const { near, far } = hosts;
  resolvConf(near, "nameserver fd77::2\n");
  resolvConf(far, "");
  stage.run(["ip", "netns", "exec", far.name, process.execPath, "-e", APPLICATION]);
});
afterEach(async () => {
  if (missing !== "") return;
  await stage.close();
  for (const { name } of [hosts.near, hosts.far])
    rmSync(`/etc/netns/${name}`, { recursive: true, force: true });
  await hosts.close();
});

async function captureFar(...flags: readonly string[]): Promise<void> {
  const serving = ["--service", "web.default", "--app-port", "9080", "--inbound", "0.0.0.0:15006"];
  await sidecar(stage, hosts.far, ...serving, ...flags);
  await rules(hosts.far, "--apply", "-i", "");
}

async function captureNear(...flags: readonly string[]): Promise<void> {
  const services = stage.file("services.yaml", SERVICES);
  await sidecar(stage, hosts.near, "--standalone", "-f", services, ...flags);
  await rules(hosts.near, "--apply", "--redirect-dns");
}

async function addressesOf(host: Host, name: string): Promise<string[]> {
  const { out } = await host.run(["getent", "ahostsv6", name]);
  const addresses = out.split("\n").map((line) => line.split(/\s/)[0] ?? "");
  return [...new Set(addresses.filter((address) => address !== ""))];
}

test.skipIf(skipped)(
  "what comes in by IPv6 reaches an application of IPv4, requests and other protocols",
  async () => {
    expect(missing).toBe("");
    const { near, far } = hosts;
    await captureFar();
    expect(await get(near, CALLED)).toBe("web");
    expect(await get(near, "http://10.123.0.2:9080/")).toBe("web");
    expect(await near.read("fd77::2", 7000)).toBe("greeting");
    expect(await statsOf(far)).toMatch(/^envoy_tcp_downstream_cx_total 1$/m);
  },
  TIMEOUT_MS,
);

test.skipIf(skipped)(
  "an application asks by IPv6 for a name, and calls the IPv6 address that it is told",
  async () => {
    expect(missing).toBe("");
    const { near } = hosts;
    await captureFar();
    await captureNear("--dns", "127.0.0.1:15053");
    expect(await addressesOf(near, "web")).toContain("fd96::7");
    expect(await get(near, "http://[fd96::7]:9080/")).toBe("web");
    const stats = await statsOf(near);
    expect(stats).toMatch(/istio_requests_total\{.*web\.default.*\} 1/);
    expect(stats).toMatch(/^dns_requests_total [1-9]/m);
  },
  TIMEOUT_MS,
);

test.skipIf(skipped).each([
  ["one thread", "1"],
  ["two threads", "2"],
])(
  "%s: a successor takes IPv6 over as it takes IPv4",
  async (_what, concurrency) => {
    expect(missing).toBe("");
    const { near } = hosts;
    await captureFar("--concurrency", concurrency);
    expect(await get(near, CALLED)).toBe("web");
    await captureFar("--concurrency", concurrency, "--restart");
    for (let call = 0; call < 4; call++) expect(await get(near, CALLED)).toBe("web");
    expect(await get(near, "http://10.123.0.2:9080/")).toBe("web");
  },
  TIMEOUT_MS,
);
