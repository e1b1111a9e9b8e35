/**
 * Applications that know nothing of the mesh, on two hosts of the test's own: rules put in force by
 * the built binary, names by DNS, calls by their plain addresses. Needs root and Debian's iproute2,
 * iptables, nftables; skipped where they are missing, but never where CI is set.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { chownSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { FIXTURE } from "../io/original-destination.fixture.ts";
import { type Cable, cable, type Host, missing, skipped } from "../testing/network-namespace.ts";
import { get, PROXY_USER, resolvConf, rules, sidecar, statsOf } from "./captured-host.ts";
import { Stage, until } from "./process.ts";

const TIMEOUT_MS = 60_000;

let hosts: Cable;
let stage: Stage;

beforeEach(async () => {
  if (missing !== "") return;
  hosts = await cable();
  stage = new Stage();
  chownSync(stage.directory, PROXY_USER, PROXY_USER);
});
afterEach(async () => {
  if (missing !== "") return;
  await stage.close();
  for (const { name } of [hosts.near, hosts.far])
    rmSync(`/etc/netns/${name}`, { recursive: true, force: true });
  await hosts.close();
});

/** Says to each connection where it wanted to go; in place of a proxy. */
async function catcher(host: Host, address: string, port: number, ...more: readonly string[]) {
  const command = [process.execPath, FIXTURE, address, String(port), ...more];
  const running = stage.run(["ip", "netns", "exec", host.name, ...command]);
  await until(`port ${port}; it said ${running.output()}`, () =>
    running.output().includes("listening"),
  );
}

/** All rules and routes of a host, without counters and empty tables. */
async function state(host: Host): Promise<string> {
  const text = [
    await host.must("iptables-save"),
    await host.must("ip6tables-save"),
    await host.must("nft", "list", "tables"),
    await host.must("ip", "rule"),
    await host.must("ip", "-6", "rule"),
    (await host.run(["ip", "route", "show", "table", "133"])).out,
    (await host.run(["ip", "-6", "route", "show", "table", "133"])).out,
  ].join("\n");
  const empty = /^(#|:[A-Z]+ ACCEPT|\*|COMMIT|table ip6? (raw|nat|mangle)$|$)/;
  return text
    .split("\n")
    .filter((line) => !empty.test(line))
    .join("\n");
}

const ways: readonly (readonly [string, readonly string[]])[] = [
  ["iptables", []],
  ["nftables", ["--nft"]],
];

test.skipIf(skipped).each([...ways])(
  "%s: calls go to the proxy, but for excluded ports, blocks and the proxy's own",
  async (_way, flags) => {
    expect(missing).toBe("");
    const { near, far } = hosts;
    // Somewhere beyond: it says "us" to what was not captured.
    for (const family of ["203.0.113.7/32", "2001:db8::7/128"])
      await far.must("ip", "addr", "add", family, "dev", "lo");
    for (const port of [80, 9999]) await catcher(far, "::", port);
    const before = await state(near);
    await catcher(near, "::", 15001);
    await rules(near, "--apply", ...flags, "-o", "9999", "-x", "10.123.0.2/32,fd77::2/128");
    expect(await near.read("203.0.113.7", 80)).toBe("203.0.113.7 80 from 10.123.0.1");
    expect(await near.read("2001:db8::7", 80)).toBe("2001:db8::7 80 from fd77::1");
    expect(await near.read("203.0.113.7", 80, String(PROXY_USER))).toBe("us from 10.123.0.1");
    expect(await near.read("2001:db8::7", 80, String(PROXY_USER))).toBe("us from fd77::1");
    expect(await near.read("203.0.113.7", 9999)).toBe("us from 10.123.0.1");
    expect(await near.read("2001:db8::7", 9999)).toBe("us from fd77::1");
    expect(await near.read("10.123.0.2", 80)).toBe("us from 10.123.0.1");
    expect(await near.read("fd77::2", 80)).toBe("us from fd77::1");
    expect(await rules(near, "--remove")).toBe("removed all rules of mesh\n");
    expect(await state(near)).toBe(before);
    expect(await rules(near, "--remove")).toBe("there are no rules of mesh\n");
    expect(await near.read("203.0.113.7", 80)).toBe("us from 10.123.0.1");
  },
  TIMEOUT_MS,
);

const modes = ["REDIRECT", "TPROXY"].flatMap((mode) => ways.map((way) => [mode, ...way] as const));

test.skipIf(skipped).each([...modes])(
  "%s by %s: calls from outside go to the proxy with the caller's address, but for excluded ports",
  async (mode, _way, flags) => {
    expect(missing).toBe("");
    const { near, far } = hosts;
    const before = await state(far);
    await catcher(far, "::", 15006, ...(mode === "TPROXY" ? ["transparent"] : []));
    for (const port of [22, 8081, 15021]) await catcher(far, "::", port);
    await rules(far, "--apply", ...flags, "-m", mode, "-d", "22,8081");
    expect(await near.read("10.123.0.2", 80)).toBe("10.123.0.2 80 from 10.123.0.1");
    expect(await near.read("fd77::2", 8080)).toBe("fd77::2 8080 from fd77::1");
    for (const port of [22, 8081, 15021])
      expect(await near.read("10.123.0.2", port)).toBe("us from 10.123.0.1");
    // A call within the host to its own address is nobody else's business.
    expect(await far.read("10.123.0.2", 8081)).toBe("us from 10.123.0.2");
    await rules(far, "--remove");
    expect(await state(far)).toBe(before);
  },
  TIMEOUT_MS,
);

const SERVICES = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: web }
spec:
  hosts: [web.default.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 9080, name: http, protocol: HTTP }]
  endpoints: [{ address: 10.123.0.2 }]
`;

async function addressOf(host: Host, name: string): Promise<string> {
  const { out } = await host.run(["getent", "ahostsv4", name]);
  return out.split(/\s/)[0] ?? "";
}

test.skipIf(skipped)(
  "an application that knows only a name calls another that knows nothing, through two sidecars",
  async () => {
    expect(missing).toBe("");
    const { near, far } = hosts;
    resolvConf(near, "nameserver 10.123.0.2\nsearch corp.example\noptions timeout:2\n");
    resolvConf(far, "");
    const application = `Bun.serve({ port: 9080, hostname: "0.0.0.0",
      fetch: (request) => new Response("reviews for " + request.headers.get("host")) })`;
    stage.run(["ip", "netns", "exec", far.name, process.execPath, "-e", application]);
    // Far is the resolver beyond the mesh as well, and knows one name.
    await sidecar(
      stage,
      far,
      ...["--service", "reviews.default", "--app-port", "9080", "--inbound", "0.0.0.0:15006"],
      ...["--dns", "0.0.0.0:53", "--upstream", "outside.example=10.123.0.2:80"],
    );
    await sidecar(
      stage,
      near,
      "--dns",
      "127.0.0.1:15053",
      "--upstream",
      "reviews.default=10.123.0.2:9080",
    );
    await rules(far, "--apply", "-b", "9080", "-i", "");
    await rules(near, "--apply", "--redirect-dns");

    expect(await addressOf(near, "reviews")).toBe("240.240.188.133");
    expect(await addressOf(near, "reviews.default.svc.cluster.local")).toBe("240.240.188.133");
    expect(await addressOf(near, "outside.example")).toMatch(/^240\.240\./);
    expect(await addressOf(near, "nosuch.example")).toBe("");
    const call = `console.log(await (await fetch("http://reviews:9080/")).text())`;
    const answer = await near.must(process.execPath, "-e", call);
    expect(answer).toBe("reviews for reviews:9080\n");
    const stats = await statsOf(near);
    expect(stats).toMatch(/istio_requests_total\{.*reviews\.default.*\} 1/);
    expect(stats).toMatch(/^dns_upstream_requests_total [1-9]/m);
  },
  TIMEOUT_MS,
);

test.skipIf(skipped)(
  "what the mesh does not know is passed on to where it was called, whatever it speaks",
  async () => {
    expect(missing).toBe("");
    const { near, far } = hosts;
    resolvConf(near, "");
    resolvConf(far, "");
    // Requests, a server that speaks first, and a client that does, with bytes that are no HTTP.
    const application = `
      Bun.serve({ port: 9080, hostname: "0.0.0.0", fetch: () => new Response("web") });
      Bun.serve({ port: 9090, hostname: "0.0.0.0", fetch: () => new Response("other") });
      const say = (text) => ({ open(s) { s.write(text); s.end(); }, data() {} });
      Bun.listen({ port: 7000, hostname: "0.0.0.0", socket: say("greeting") });
      Bun.listen({ port: 7001, hostname: "0.0.0.0",
        socket: { data(s, b) { s.write("echo " + b); s.end(); } } });`;
    stage.run(["ip", "netns", "exec", far.name, process.execPath, "-e", application]);
    await sidecar(
      stage,
      far,
      ...["--service", "web.default", "--app-port", "9080", "--inbound", "0.0.0.0:15006"],
    );
    const services = join(stage.directory, "services.yaml");
    writeFileSync(services, SERVICES);
    await sidecar(stage, near, "--standalone", "-f", services);
    await rules(far, "--apply", "-i", "");
    await rules(near, "--apply");

    const call = (url: string) => get(near, url, "nobody.example");
    expect(await call("http://10.123.0.2:9090/")).toBe("other");
    expect(await call("http://10.123.0.2:9080/")).toBe("web");
    expect(await near.read("10.123.0.2", 7000)).toBe("greeting");
    const echo = `exec 3<>/dev/tcp/10.123.0.2/7001 && printf '\\001\\002raw' >&3 && cat <&3`;
    expect(await near.must("timeout", "5", "bash", "-c", echo)).toBe("echo \u0001\u0002raw");
    const output = await statsOf(near);
    expect(output).toMatch(/^envoy_tcp_downstream_cx_total 2$/m);
  },
  TIMEOUT_MS,
);
