/** Whose packets go where, by what an operator asked for. */
import { expect, test } from "bun:test";
import { type Outcome, type Packet, RuleBook } from "../../testing/packet-filter.ts";
import { captureRules } from "./capture-rules.ts";
import { installScript } from "./iptables-text.ts";
import { nftInstallScript } from "./nft-text.ts";
import { parseCapture } from "./parse-capture.ts";

type Flags = Readonly<Record<string, string | boolean>>;

function optionsFor(flags: Flags) {
  const parsed = parseCapture(flags, { nameservers: ["10.0.0.53", "fd00::53"], hasIpv6: true });
  if (!("mode" in parsed)) throw new Error(JSON.stringify(parsed));
  return parsed;
}

function outcome(flags: Flags, packet: Partial<Packet>): Outcome {
  const base: Packet = {
    hook: "OUTPUT",
    protocol: "tcp",
    interface: "eth0",
    source: "10.0.0.5",
    destination: "10.0.0.9",
    sourcePort: 40_000,
    port: 80,
    user: "1000",
    group: "1000",
    state: "NEW",
    mark: 0,
    connectionMark: 0,
  };
  const full = { ...base, ...packet };
  const family = full.destination.includes(":") ? "ipv6" : "ipv4";
  const book = new RuleBook();
  book.addScript(installScript(captureRules(optionsFor(flags), family)));
  return book.evaluate(full);
}

const incoming = { hook: "PREROUTING", user: "", group: "" } as const;
const toOutbound = { redirect: 15001 };
const toInbound = { redirect: 15006 };
const dns = { "redirect-dns": true };
const allDns = { "capture-all-dns": true };
const groups = { "owner-groups": "web,202" };
const transparent = { mode: "TPROXY" };
const diverted = { mark: 1337, tproxy: 15006 };

const rows: readonly (readonly [string, Flags, Partial<Packet>, Outcome])[] = [
  ["an application's call", {}, {}, toOutbound],
  ["an application's call over IPv6", {}, { destination: "2001:db8::9" }, toOutbound],
  ["to another port of the proxy", { "proxy-port": "16001" }, {}, { redirect: 16001 }],
  ["UDP", {}, { protocol: "udp", port: 53 }, {}],
  ["the proxy's own call", {}, { user: "1337" }, {}],
  ["the proxy's own call, told by its group", {}, { group: "1337" }, {}],
  ["a second user of the proxy", { "proxy-uid": "7,8" }, { user: "8" }, {}],
  ["a user who is not the proxy", { "proxy-uid": "7,8" }, { user: "1337" }, toOutbound],
  ["a call to loopback", {}, { interface: "lo", destination: "127.0.0.1" }, {}],
  ["an application's call to its own address", {}, { interface: "lo" }, {}],
  ["the proxy's call to its own machine", {}, { interface: "lo", user: "1337" }, toInbound],
  [
    "the same by the second user",
    { "proxy-uid": "7,8" },
    { interface: "lo", user: "8" },
    toInbound,
  ],
  [
    "the proxy's call to its application",
    {},
    { interface: "lo", user: "1337", destination: "127.0.0.1" },
    {},
  ],
  [
    "a call from the inbound source address",
    {},
    { interface: "lo", user: "1337", source: "127.0.0.6" },
    {},
  ],
  ["the tunnel of the proxy", {}, { interface: "lo", user: "1337", port: 15008 }, {}],
  ["outside the blocks to capture", { "outbound-cidrs": "10.1.0.0/16" }, {}, {}],
  ["within them", { "outbound-cidrs": "10.0.0.0/16,fd00::/8" }, {}, toOutbound],
  ["nothing to capture", { "outbound-cidrs": "" }, {}, {}],
  ["an excluded block", { "outbound-cidrs-exclude": "10.0.0.8/29" }, {}, {}],
  ["an excluded port", { "outbound-ports-exclude": "80" }, {}, {}],
  [
    "a port to capture outside all blocks",
    { "outbound-cidrs": "", "outbound-ports": "80" },
    {},
    toOutbound,
  ],
  [
    "a loopback block to capture",
    { "outbound-cidrs": "127.0.0.2/32" },
    { interface: "lo", destination: "127.0.0.2" },
    toOutbound,
  ],
  ["an excluded interface", { "exclude-interfaces": "eth0" }, {}, {}],
  ["a group to capture", groups, { group: "202" }, toOutbound],
  ["another group", groups, {}, {}],
  ["a group to leave alone", { "owner-groups-exclude": "1000" }, {}, {}],
  ["an incoming call", {}, incoming, toInbound],
  ["an incoming SSH session", {}, { ...incoming, port: 22 }, {}],
  ["a readiness probe", { "inbound-ports-exclude": "9" }, { ...incoming, port: 15021 }, {}],
  ["an excluded own port", { "inbound-ports-exclude": "80,81" }, { ...incoming, port: 81 }, {}],
  ["an own port to capture", { "inbound-ports": "80" }, incoming, toInbound],
  ["another own port", { "inbound-ports": "81" }, incoming, {}],
  ["no own ports", { "inbound-ports": "" }, incoming, {}],
  ["the tunnel's port", {}, { ...incoming, port: 15008 }, {}],
  ["in by an excluded interface", { "exclude-interfaces": "eth0" }, incoming, {}],
  [
    "from a virtual machine",
    { "virtual-interfaces": "vm0" },
    { ...incoming, interface: "vm0" },
    toOutbound,
  ],
  [
    "from a virtual machine, beyond the blocks",
    { "virtual-interfaces": "vm0", "outbound-cidrs": "10.7.0.0/16" },
    { ...incoming, interface: "vm0" },
    {},
  ],
  ["out of window", { "drop-invalid": true }, { ...incoming, state: "INVALID" }, { dropped: true }],
  ["TPROXY: an incoming call", transparent, incoming, diverted],
  ["TPROXY: a packet of it", transparent, { ...incoming, state: "ESTABLISHED" }, { mark: 1337 }],
  ["TPROXY: an excluded port", transparent, { ...incoming, port: 22 }, {}],
  [
    "TPROXY: in by an excluded interface",
    { ...transparent, "exclude-interfaces": "eth0" },
    incoming,
    {},
  ],
  ["TPROXY: within the machine", transparent, { ...incoming, interface: "lo" }, {}],
  [
    "TPROXY: the proxy's call to itself",
    transparent,
    { ...incoming, interface: "lo", mark: 1338 },
    diverted,
  ],
  [
    "TPROXY: an answer with a caller's address",
    transparent,
    { state: "ESTABLISHED", connectionMark: 1337 },
    { mark: 1337 },
  ],
  ["TPROXY: an application's call", transparent, {}, toOutbound],
  [
    "a question to a resolver of the system",
    dns,
    { protocol: "udp", port: 53, destination: "10.0.0.53" },
    { zone: 2, redirect: 15053 },
  ],
  ["a question over TCP", dns, { port: 53, destination: "fd00::53" }, { redirect: 15053 }],
  ["a question to another resolver", dns, { protocol: "udp", port: 53 }, {}],
  [
    "a question to any resolver",
    allDns,
    { protocol: "udp", port: 53 },
    { zone: 2, redirect: 15053 },
  ],
  [
    "a question of the proxy",
    dns,
    { protocol: "udp", port: 53, user: "1337", destination: "10.0.0.53" },
    { zone: 1 },
  ],
  [
    "an answer of the proxy",
    dns,
    { protocol: "udp", sourcePort: 15053, user: "1337" },
    { zone: 2 },
  ],
  [
    "an answer to the proxy",
    dns,
    { ...incoming, protocol: "udp", sourcePort: 53, source: "10.0.0.53" },
    { zone: 1 },
  ],
  [
    "a resolver on this machine, over TCP",
    allDns,
    { interface: "lo", port: 53, destination: "127.0.0.53" },
    { redirect: 15053 },
  ],
  [
    "the proxy's question over TCP to a resolver on this machine",
    allDns,
    { interface: "lo", port: 53, user: "1337", destination: "10.0.0.5" },
    {},
  ],
];

test.each([...rows])("%s", (_what, flags, packet, wanted) => {
  expect(outcome(flags, packet)).toEqual(wanted);
});

test("nothing of one family is in the rules of the other", () => {
  const options = optionsFor({
    "outbound-cidrs": "10.0.0.0/8,fd00::/8",
    "outbound-cidrs-exclude": "10.9.0.0/16,fd09::/16",
    ...dns,
  });
  const v4 = installScript(captureRules(options, "ipv4"));
  const v6 = installScript(captureRules(options, "ipv6"));
  expect(v4).not.toMatch(/fd0|::/);
  expect(v6).not.toMatch(/\d+\.\d+\.\d+\.\d+/);
});

test("nftables gets one table of ours, replaced as a whole", () => {
  const script = nftInstallScript([captureRules(optionsFor({ "proxy-uid": "mesh" }), "ipv4")]);
  expect(script.split("\n").slice(0, 10)).toEqual([
    "table ip mesh",
    "delete table ip mesh",
    "table ip6 mesh",
    "delete table ip6 mesh",
    "table ip mesh {",
    "  chain nat_redirect {",
    "    meta l4proto tcp redirect to :15001",
    "  }",
    "  chain nat_in_redirect {",
    "    meta l4proto tcp redirect to :15006",
  ]);
  expect(script).toContain('    meta skuid "mesh" goto nat_proxy_output\n');
  expect(script).toContain('    oifname "lo" ip saddr 127.0.0.6/32 return\n');
});
