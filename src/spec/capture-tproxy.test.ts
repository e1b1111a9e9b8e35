/**
 * Incoming connections by TPROXY, through the built binary: an application sees its callers' own
 * addresses, though its sidecar is in between. Needs what capture.test.ts needs.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { chownSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Cable, cable, missing, skipped } from "../testing/network-namespace.ts";
import { get, PROXY_USER, resolvConf, rules, sidecar, statsOf } from "./captured-host.ts";
import { meshBinary, Stage, until } from "./process.ts";

const TIMEOUT_MS = 60_000;
const SERVING = ["--service", "web.default", "--tproxy", "1337"];

/** Tells each caller who it is: requests at 9080, a server that speaks first at 7000. */
const applicationAt = (hostname: string) => `
  const tell = (address) => "you are " + address.replace("::ffff:", "");
  Bun.serve({ port: 9080, hostname: "${hostname}",
    fetch: (request, server) => new Response(tell(server.requestIP(request).address)) });
  Bun.listen({ port: 7000, hostname: "${hostname}", socket: { data() {},
    open(s) { s.write(tell(s.remoteAddress)); s.end(); } } });`;

let hosts: Cable;
let stage: Stage;

beforeEach(async () => {
  if (missing !== "") return;
  hosts = await cable();
  stage = new Stage();
  chownSync(stage.directory, PROXY_USER, PROXY_USER);
  resolvConf(hosts.far, "");
});
afterEach(async () => {
  if (missing !== "") return;
  await stage.close();
  rmSync(`/etc/netns/${hosts.far.name}`, { recursive: true, force: true });
  await hosts.close();
});

function application(hostname: string): void {
  const program = applicationAt(hostname);
  stage.run(["ip", "netns", "exec", hosts.far.name, process.execPath, "-e", program]);
}

test.skipIf(skipped).each([
  ["iptables", []],
  ["nftables", ["--nft"]],
])(
  "%s: requests and other connections come from the caller's address, and the log has it",
  async (_way, flags) => {
    expect(missing).toBe("");
    const { near, far } = hosts;
    application("0.0.0.0");
    const log = join(stage.directory, "access.log");
    await sidecar(stage, far, ...SERVING, "--app-port", "9080", "--access-log", log);
    await rules(far, "--apply", ...flags, "-m", "TPROXY", "-i", "");
    for (let call = 0; call < 3; call++)
      expect(await get(near, "http://10.123.0.2:9080/")).toBe("you are 10.123.0.1");
    expect(await near.read("10.123.0.2", 7000)).toBe("you are 10.123.0.1");
    await near.must("ip", "addr", "add", "10.123.0.9/24", "dev", "eth0");
    const other = ["curl", "-s", "--interface", "10.123.0.9", "http://10.123.0.2:9080/"];
    if (Bun.which("curl") !== null) expect(await near.must(...other)).toBe("you are 10.123.0.9");
    expect(await statsOf(far)).toMatch(/istio_requests_total\{.*web\.default.*\} [34]/);
    await until("the access log", () => readFileSync(log, "utf8").includes("10.123.0.1:"));
    await rules(far, "--remove");
    expect(await get(near, "http://10.123.0.2:9080/")).toBe("you are 10.123.0.1");
  },
  TIMEOUT_MS,
);

test.skipIf(skipped)(
  "over IPv6 likewise, where the application is reached by IPv6",
  async () => {
    expect(missing).toBe("");
    const { near, far } = hosts;
    application("::");
    await sidecar(stage, far, ...SERVING, "--app", "[::1]:9080");
    await rules(far, "--apply", "-m", "TPROXY", "-i", "");
    expect(await get(near, "http://[fd77::2]:9080/")).toBe("you are fd77::1");
    expect(await near.read("fd77::2", 7000)).toBe("you are fd77::1");
    expect(await get(near, "http://10.123.0.2:9080/")).toBe("you are ::1");
  },
  TIMEOUT_MS,
);

test.skipIf(skipped)(
  "two threads, and the two of a successor, do the same",
  async () => {
    expect(missing).toBe("");
    const { near, far } = hosts;
    application("127.0.0.1");
    const flags = [...SERVING, "--app-port", "9080", "--concurrency", "2"];
    await sidecar(stage, far, ...flags);
    await rules(far, "--apply", "-m", "TPROXY", "-i", "");
    expect(await get(near, "http://10.123.0.2:9080/")).toBe("you are 10.123.0.1");
    await sidecar(stage, far, ...flags, "--restart");
    for (let call = 0; call < 4; call++)
      expect(await get(near, "http://10.123.0.2:9080/")).toBe("you are 10.123.0.1");
  },
  TIMEOUT_MS,
);

test.skipIf(skipped)(
  "without the privilege a sidecar does not start, and says which one it needs",
  async () => {
    expect(missing).toBe("");
    const user = String(PROXY_USER);
    const running = stage.run([
      ...["ip", "netns", "exec", hosts.far.name],
      ...["setpriv", "--reuid", user, "--regid", user, "--clear-groups"],
      ...[meshBinary, "proxy", "--manager", "none", "--state-dir", stage.directory],
      ...SERVING,
      ...["--app-port", "9080"],
    ]);
    expect(await running.child.exited).toBe(1);
    const why = "0.0.0.0:15006 cannot take what TPROXY hands over without CAP_NET_ADMIN";
    await until("its output", () => running.output().includes(why));
  },
  TIMEOUT_MS,
);
