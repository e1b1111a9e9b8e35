/**
 * The same rules for nftables, in a table `mesh` of our own for each family. A script replaces the
 * whole table in one transaction; removing the table removes everything.
 */
import type { Family } from "./capture-options.ts";
import {
  type Chain,
  chainsOf,
  type Match,
  type Not,
  type Owner,
  type RuleSet,
  type Table,
  tables,
  type Verdict,
} from "./rule.ts";

const TABLE = "mesh";
const nftFamily: Readonly<Record<Family, string>> = { ipv4: "ip", ipv6: "ip6" };

/** Where the kernel enters each chain that is reached from a hook; iptables has the same places. */
const bases: Readonly<Record<string, string>> = {
  raw_prerouting: "type filter hook prerouting priority -300",
  raw_output: "type filter hook output priority -300",
  mangle_prerouting: "type filter hook prerouting priority -150",
  mangle_output: "type route hook output priority -150",
  nat_prerouting: "type nat hook prerouting priority -100",
  nat_output: "type nat hook output priority -100",
};

/** For nft -f; several families are one transaction. */
export function nftInstallScript(ruleSets: readonly RuleSet[]): string {
  const remove = nftRemoveScript(["ipv4", "ipv6"]);
  return remove + ruleSets.map(tableText).join("");
}

/** Naming a table first makes deleting it succeed whether it was there or not. */
export function nftRemoveScript(families: readonly Family[]): string {
  return families
    .map((family) => `${nftFamily[family]} ${TABLE}`)
    .map((name) => `table ${name}\ndelete table ${name}\n`)
    .join("");
}

function tableText(rules: RuleSet): string {
  const texts = tables.flatMap((table) =>
    [...chainsOf(rules, table)].map(([chain, list]) => {
      const name = chainName(table, chain);
      const base = Object.hasOwn(bases, name) ? [`${bases[name]}; policy accept;`] : [];
      const lines = list.map(({ match, verdict }) =>
        [...matchWords(match, nftFamily[rules.family]), verdictText(verdict, table)].join(" "),
      );
      const body = [...base, ...lines].map((line) => `    ${line}\n`).join("");
      return `  chain ${name} {\n${body}  }\n`;
    }),
  );
  return `table ${nftFamily[rules.family]} ${TABLE} {\n${texts.join("")}}\n`;
}

function chainName(table: Table, chain: Chain): string {
  return `${table}_${chain.toLowerCase()}`;
}

function matchWords(match: Match, family: string): readonly string[] {
  const { inInterface, outInterface, protocol, owners = [] } = match;
  return [
    ...test("iifname", quoted(inInterface)),
    ...test("oifname", quoted(outInterface)),
    ...test(`${family} saddr`, match.from),
    ...test(`${family} daddr`, match.to),
    ...test("meta l4proto", protocol),
    ...test("th sport", match.fromPort),
    ...portTest(match.toPort),
    ...owners.map(ownerTest),
    ...test("meta mark", match.mark),
    ...test("ct mark", match.connectionMark),
    ...test("ct state", match.state === "established" ? "{ established, related }" : match.state),
  ];
}

function test(what: string, value: string | number | Not<string | number> | undefined): string[] {
  if (value === undefined) return [];
  return typeof value === "object" ? [`${what} != ${value.not}`] : [`${what} ${value}`];
}

function portTest(ports: Match["toPort"]): string[] {
  if (typeof ports !== "object") return test("th dport", ports);
  return [`th dport != { ${ports.not.join(", ")} }`];
}

function ownerTest({ of, id, isNot }: Owner): string {
  const value = /^\d+$/.test(id) ? id : `"${id}"`;
  return `meta ${of === "user" ? "skuid" : "skgid"}${isNot ? " !=" : ""} ${value}`;
}

/** "veth+" of iptables, any that begins so, is "veth*" here. */
function quoted(name: string | undefined): string | undefined {
  return name === undefined ? undefined : `"${name.replace(/\+$/, "*")}"`;
}

function verdictText(verdict: Verdict, table: Table): string {
  switch (verdict.at) {
    case "jump":
    case "goto":
      return `${verdict.at} ${chainName(table, verdict.chain)}`;
    case "return":
    case "accept":
    case "drop":
      return verdict.at;
    case "redirect":
      return `redirect to :${verdict.port}`;
    case "tproxy":
      return `tproxy to :${verdict.port} meta mark set ${verdict.mark} accept`;
    case "mark":
      return `meta mark set ${verdict.mark}`;
    case "save-mark":
      return "ct mark set meta mark";
    case "restore-mark":
      return "meta mark set ct mark";
    case "zone":
      return `ct zone set ${verdict.zone}`;
    default:
      return verdict satisfies never;
  }
}
