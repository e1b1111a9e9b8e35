/** What an operator may write for each flag, and what is said about what he may not. */
import { expect, test } from "bun:test";
import { parseBlock, parseCapture } from "./parse-capture.ts";

const machine = { nameservers: ["10.0.0.2", "fe80::1%eth0"], hasIpv6: false };

function parse(flags: Readonly<Record<string, unknown>>) {
  const parsed = parseCapture(flags, machine);
  if (!("mode" in parsed)) throw new Error(JSON.stringify(parsed));
  return parsed;
}

const refused: readonly (readonly [flag: string, value: string | boolean, message: string])[] = [
  ["proxy-port", "0", '"0" is not a port from 1 to 65535'],
  ["proxy-port", "70000", '"70000" is not a port from 1 to 65535'],
  ["inbound-port", "http", '"http" is not a port from 1 to 65535'],
  ["inbound-ports", "80,*", '"*" is not a port from 1 to 65535; * stands alone, and not here'],
  ["outbound-ports-exclude", "-1", '"-1" is not a port from 1 to 65535'],
  ["outbound-cidrs", "10.0.0.0/33", '"10.0.0.0/33" is not an address or a block like 10.0.0.0/8'],
  ["outbound-cidrs-exclude", "*", '"*" is not an address or a block like 10.0.0.0/8'],
  ["outbound-cidrs", "intranet", '"intranet" is not an address or a block like 10.0.0.0/8'],
  ["proxy-uid", "-j ACCEPT", '"-j ACCEPT" is not a number or name'],
  ["proxy-uid", "", "names nobody: what the proxy sends would be captured again"],
  ["proxy-gid", "a b", '"a b" is not a number or name'],
  [
    "exclude-interfaces",
    "a-very-long-name-1",
    '"a-very-long-name-1" is not the name of an interface',
  ],
  ["exclude-interfaces", "eth0;", '"eth0;" is not the name of an interface'],
  ["tproxy-mark", "0", '"0" is not a number from 1 to 4294967294'],
  ["tproxy-route-table", "254", "254 is a table of the system's own"],
  ["loopback-cidr", "10.0.0.0/8", '"10.0.0.0/8" is not a block within 127.0.0.0/8'],
];

test.each([...refused])("--%s %p", (flag, value, message) => {
  const parsed = parseCapture({ [flag]: value }, machine);
  expect(parsed).toMatchObject([{ path: `--${flag}`, message }]);
});

test("all problems at once", () => {
  const parsed = parseCapture({ "proxy-port": "x", "outbound-cidrs": "y,z" }, machine);
  expect(parsed).toMatchObject([{}, {}, {}]);
});

test("DNS without a resolver to capture says what would help", () => {
  const parsed = parseCapture({ "redirect-dns": true }, { nameservers: [], hasIpv6: false });
  expect(parsed).toMatchObject([{ suggestion: "--capture-all-dns captures questions to any" }]);
});

test("a list may have blanks and end in a comma; empty is none; absent is the default", () => {
  expect(parse({ "inbound-ports": " 80, 8080," }).inboundPorts).toEqual([80, 8080]);
  expect(parse({ "inbound-ports": "" }).inboundPorts).toEqual([]);
  expect(parse({}).inboundPorts).toBe("*");
});

test("groups are the users' numbers unless told; a name says nothing about a group", () => {
  expect(parse({ "proxy-uid": "7,mesh" }).proxyGroups).toEqual(["7"]);
  expect(parse({ "proxy-uid": "7", "proxy-gid": "8" }).proxyGroups).toEqual(["8"]);
  expect(parse({ "proxy-uid": "7", "proxy-gid": "" }).proxyGroups).toEqual([]);
});

test("SSH stays reachable unless ports are named; the proxy's own ports always do", () => {
  expect(parse({}).inboundPortsExclude).toEqual([22, 15020, 15021, 15090]);
  expect(parse({ "inbound-ports-exclude": "9" }).inboundPortsExclude).toEqual([
    9, 15020, 15021, 15090,
  ]);
});

test("resolvers are those of the machine, a zone left out", () => {
  expect(parse({ "redirect-dns": true, "dns-port": "53" }).dns).toEqual({
    port: 53,
    servers: [
      { family: "ipv4", text: "10.0.0.2" },
      { family: "ipv6", text: "fe80::1" },
    ],
  });
});

test("IPv6 is as the machine has it, or as told", () => {
  expect(parse({}).ipv6).toBe(false);
  expect(parse({ ipv6: "on" }).ipv6).toBe(true);
  expect(parseCapture({ ipv6: "off" }, { ...machine, hasIpv6: true })).toMatchObject({
    ipv6: false,
  });
});

const blocks: readonly (readonly [string, string | undefined])[] = [
  ["10.1.2.3", "10.1.2.3"],
  ["10.1.2.3/8", "10.0.0.0/8"],
  ["10.1.255.3/17", "10.1.128.0/17"],
  ["0.0.0.0/0", "0.0.0.0/0"],
  ["10.1.2.3/32", "10.1.2.3/32"],
  ["2001:db8::1/32", "2001:db8::/32"],
  ["2001:db8:ffff::/33", "2001:db8:8000::/33"],
  ["::1/128", "::1/128"],
  ["10.1.2.3/", undefined],
  ["10.1.2.3/8/8", undefined],
  ["fe80::1%eth0/64", undefined],
];

test.each([...blocks])("block %s", (written, block) => {
  expect(parseBlock(written)?.text).toBe(block);
});
