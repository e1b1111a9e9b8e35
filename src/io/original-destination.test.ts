/**
 * Connections captured by the kernel's own means, between two hosts of the test: each is told where
 * it wanted to go. Rules are written by hand here; what mesh ctl writes is tested in spec/.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Cable, cable, type Host, missing, skipped } from "../testing/network-namespace.ts";
import { FIXTURE } from "./original-destination.fixture.ts";

let hosts: Cable;
const running: Bun.Subprocess[] = [];

beforeAll(async () => {
  if (missing !== "") return;
  hosts = await cable();
  const { near, far } = hosts;
  // Outgoing of near: 15001. Incoming of far: 15006 by redirect, 15007 and 15008 by TPROXY.
  await serve(near, "::", 15001);
  await serve(far, "0.0.0.0", 15006);
  await serve(far, "0.0.0.0", 15007, "transparent");
  await serve(far, "::", 15008, "transparent");
  for (const [tool, family] of [["iptables", "inet"] as const, ["ip6tables", "inet6"] as const]) {
    const redirect = ["-p", "tcp", "-j", "REDIRECT", "--to-ports"];
    const owner = ["-m", "owner", "!", "--uid-owner", "1337"];
    await near.must(tool, "-t", "nat", "-A", "OUTPUT", ...owner, ...redirect, "15001");
    const transparent = family === "inet" ? ["7007", "15007"] : ["7008", "15008"];
    const mangle = ["-t", "mangle", "-A", "PREROUTING", "-p", "tcp", "--dport", transparent[0]!];
    const tproxy = ["-j", "TPROXY", "--on-port", transparent[1]!, "--tproxy-mark", "1"];
    await far.must(tool, ...mangle, ...tproxy);
    await far.must("ip", "-f", family, "rule", "add", "fwmark", "1", "lookup", "100");
    await far.must(
      ...["ip", "-f", family, "route", "add", "local", "default", "dev", "lo", "table", "100"],
    );
  }
  const both = ["-p", "tcp", "--dport", "7006", "-j", "REDIRECT", "--to-ports", "15006"];
  await far.must("iptables", "-t", "nat", "-A", "PREROUTING", ...both);
  await far.must(
    "iptables",
    "-t",
    "mangle",
    "-A",
    "PREROUTING",
    "-p",
    "tcp",
    "--dport",
    "7008",
    "-j",
    "TPROXY",
    "--on-port",
    "15008",
    "--tproxy-mark",
    "1",
  );
  const hook = "type nat hook prerouting priority -90";
  await far.must("nft", `table ip n { chain c { ${hook}; tcp dport 7016 redirect to :15006; }; }`);
});
afterAll(async () => {
  for (const child of running) child.kill();
  await Promise.all(running.map((child) => child.exited));
  await hosts?.close();
});

async function serve(host: Host, address: string, port: number, ...more: readonly string[]) {
  const child = host.start([process.execPath, FIXTURE, address, String(port), ...more]);
  running.push(child);
  const { value } = await child.stdout.getReader().read();
  if (!new TextDecoder().decode(value).includes("listening"))
    throw new Error(await new Response(child.stderr).text());
}

const rows: readonly (readonly [string, string, number, string, string])[] = [
  ["outgoing, redirected", "10.123.0.2", 80, "0", "10.123.0.2 80 from 10.123.0.1"],
  ["outgoing over IPv6, redirected", "fd77::2", 80, "0", "fd77::2 80 from fd77::1"],
  ["beyond the cable", "203.0.113.7", 443, "0", "203.0.113.7 443 from 10.123.0.1"],
  ["an address of no network", "240.240.3.4", 9080, "0", "240.240.3.4 9080 from 10.123.0.1"],
  ["to the redirecting port itself", "127.0.0.1", 15001, "1337", "us from 127.0.0.1"],
  ["incoming, redirected", "10.123.0.2", 7006, "1337", "10.123.0.2 7006 from 10.123.0.1"],
  [
    "incoming, redirected by nftables",
    "10.123.0.2",
    7016,
    "1337",
    "10.123.0.2 7016 from 10.123.0.1",
  ],
  ["to the inbound port itself", "10.123.0.2", 15006, "1337", "us from 10.123.0.1"],
  ["incoming, TPROXY", "10.123.0.2", 7007, "1337", "10.123.0.2 7007 from 10.123.0.1"],
  ["incoming over IPv6, TPROXY", "fd77::2", 7008, "1337", "fd77::2 7008 from fd77::1"],
  ["TPROXY, a socket for both", "10.123.0.2", 7008, "1337", "10.123.0.2 7008 from 10.123.0.1"],
];

test.skipIf(skipped).each([...rows])("%s", async (_what, address, port, user, answer) => {
  expect(missing).toBe("");
  expect(await hosts.near.read(address, port, user)).toBe(answer);
});
