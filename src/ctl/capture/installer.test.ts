/**
 * Rules put in force by the real tools, in a network namespace of the test's own: applied twice is
 * applied once, removed is as if they had never been, and a failure leaves nothing.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { Host, missing, skipped } from "../../testing/network-namespace.ts";
import { CtlError } from "../command.ts";
import { type CaptureOptions, defaultCaptureOptions } from "./capture-options.ts";
import { applyCapture, type Run, removeCapture } from "./installer.ts";

const everything: CaptureOptions = {
  ...defaultCaptureOptions,
  mode: "TPROXY",
  ipv6: true,
  dns: {
    port: 15053,
    servers: [
      { family: "ipv4", text: "10.0.0.2" },
      { family: "ipv6", text: "fd00::2" },
    ],
  },
  proxyUsers: ["1337", "nobody"],
  outboundBlocks: [
    { family: "ipv4", text: "10.0.0.0/8" },
    { family: "ipv6", text: "fd00::/8" },
  ],
  outboundBlocksExclude: [{ family: "ipv4", text: "10.9.0.0/16" }],
  outboundPorts: [443],
  outboundPortsExclude: [3306],
  inboundPorts: [80, 8080],
  ownerGroups: ["0", "daemon"],
  ownerGroupsExclude: ["7"],
  interfacesExclude: ["eth9", "veth+"],
  virtualInterfaces: ["vm0"],
  dropInvalid: true,
  loopback: "127.0.0.0/8",
};
const plain: CaptureOptions = { ...defaultCaptureOptions, ipv6: true };
const anyDns: CaptureOptions = { ...plain, dns: { port: 15053, servers: "*" } };

let host: Host;
let run: Run;

beforeEach(async () => {
  if (missing !== "") return;
  host = new Host(`mesh-i-${Math.random().toString(36).slice(2, 8)}`);
  await Bun.$`ip netns add ${host.name}`.quiet();
  await host.must("ip", "link", "set", "lo", "up");
  // Somebody else's rules, which must stay.
  await host.must("iptables", "-t", "nat", "-A", "OUTPUT", "-p", "tcp", "-j", "RETURN");
  await host.must("ip6tables", "-t", "mangle", "-A", "OUTPUT", "-j", "ACCEPT");
  await host.must(
    "nft",
    "add table inet others { chain c { type filter hook input priority 0; }; }",
  );
  run = (command, input) => host.run(command, input);
});
afterEach(async () => await host?.remove());

/** Every rule and route, whoever's, without counters and without tables that are empty. */
async function state(): Promise<string> {
  const saved = [
    await host.must("iptables-save"),
    await host.must("ip6tables-save"),
    await host.must("ip", "rule"),
    await host.must("ip", "-6", "rule"),
    (await host.run(["ip", "route", "show", "table", "all"])).out,
    (await host.run(["ip", "-6", "route", "show", "table", "all"])).out,
    await host.must("nft", "list", "tables"),
  ].join("\n");
  return saved
    .split("\n")
    .filter((line) => !/^(#|:[A-Z]+ ACCEPT|\*|COMMIT|table ip6? (raw|nat|mangle)$|$)/.test(line))
    .join("\n");
}

const optionSets = {
  "the defaults": plain,
  "all options": everything,
  "DNS to anywhere": anyDns,
};
const cases = (["iptables", "nft"] as const).flatMap((tool) =>
  (Object.keys(optionSets) as (keyof typeof optionSets)[]).map((what) => [what, tool] as const),
);

test.skipIf(skipped).each([...cases])("%s by %s", async (what, tool) => {
  const options = optionSets[what];
  expect(missing).toBe("");
  const before = await state();
  await applyCapture(options, tool, run);
  const once = await state();
  expect(once).not.toBe(before);
  for (const line of before.split("\n")) expect(once).toContain(line);
  await applyCapture(options, tool, run);
  expect(await state()).toBe(once);
  expect(await removeCapture(options, run)).toBe(true);
  expect(await state()).toBe(before);
  expect(await removeCapture(options, run)).toBe(false);
});

test.skipIf(skipped)(
  "one set of options takes the place of another, of one tool or two",
  async () => {
    const before = await state();
    await applyCapture(plain, "iptables", run);
    const once = await state();
    await applyCapture(everything, "iptables", run);
    await applyCapture(everything, "nft", run);
    expect(await state()).not.toContain("MESH_");
    await applyCapture({ ...plain, ipv6: false }, "iptables", run);
    await removeCapture(everything, run);
    await applyCapture(plain, "iptables", run);
    expect(await state()).toBe(once);
    await removeCapture(plain, run);
    expect(await state()).toBe(before);
  },
);

test.skipIf(skipped)("a failure half way leaves nothing, and is told", async () => {
  const before = await state();
  const failing: Run = async (command, input) => {
    if (command[0] !== "ip6tables-restore" || input?.includes("-A ") !== true)
      return await run(command, input);
    return { code: undefined, out: "", err: "" };
  };
  const applied = applyCapture(everything, "iptables", failing);
  await expect(applied).rejects.toBeInstanceOf(CtlError);
  await expect(applied).rejects.toThrow("ip6tables-restore is not installed");
  expect(await state()).toBe(before);
});

test.skipIf(skipped)("what a part of an apply left is removed", async () => {
  const before = await state();
  await host.must("iptables", "-t", "nat", "-N", "MESH_OUTPUT");
  await host.must("iptables", "-t", "nat", "-A", "OUTPUT", "-j", "MESH_OUTPUT");
  await host.must("ip6tables", "-t", "raw", "-N", "MESH_OUTPUT_DNS");
  await host.must("ip", "rule", "add", "fwmark", "1337", "lookup", "133");
  await removeCapture(plain, run);
  expect(await state()).toBe(before);
});

test.skipIf(skipped)("without the right to change rules the system's words are told", async () => {
  const asNobody: Run = (command, input) =>
    host.run(["setpriv", "--reuid", "65534", "--clear-groups", ...command], input);
  const applied = applyCapture(plain, "nft", asNobody);
  await expect(applied).rejects.toMatchObject({ hint: "rules are root's to change: try sudo" });
});
