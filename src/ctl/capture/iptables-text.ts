/**
 * Rules as input of iptables-restore --noflush: each table changes at once or not at all, and what
 * others have in it stays. All of ours is in chains named MESH_…, and one jump from each hook.
 */
import {
  type Chain,
  chainsOf,
  hooks,
  type Match,
  type Not,
  type Owner,
  type RuleSet,
  type Table,
  tables,
  type Verdict,
} from "./rule.ts";

export const CHAIN_PREFIX = "MESH_";

/** What is installed now, as iptables-save tells it, reduced to what is ours. */
export interface Installed {
  readonly table: Table;
  readonly chains: readonly string[];
  /** Rules in chains of others that lead to ours: "-A OUTPUT -j MESH_OUTPUT". */
  readonly jumps: readonly string[];
}

/** The script that puts `rules` in place of what is `installed`. */
export function installScript(rules: RuleSet, installed: readonly Installed[] = []): string {
  return script(tables, (table) => {
    const chains = chainsOf(rules, table);
    const names = [...chains.keys()].map(chainName);
    const former = installed.find((one) => one.table === table);
    const stale = former?.chains.filter((name) => !names.includes(name)) ?? [];
    if (names.length === 0 && stale.length === 0) return [];
    return [
      // Naming a chain makes it, or empties it.
      ...[...names, ...stale].map((name) => `:${name} - [0:0]`),
      ...(former?.jumps.map(deletion) ?? []),
      ...stale.map((name) => `-X ${name}`),
      ...[...chains.values()].flat().map(({ chain, match, verdict }) => {
        const words = ["-A", chainName(chain), ...matchWords(match), ...verdictWords(verdict)];
        return words.join(" ");
      }),
      ...hooks.filter((hook) => chains.has(hook)).map((hook) => `-A ${hook} -j ${chainName(hook)}`),
    ];
  });
}

/** Empty: there is nothing to remove. */
export function removeScript(installed: readonly Installed[]): string {
  return script(
    installed.map(({ table }) => table),
    (table) => {
      const { chains = [], jumps = [] } = installed.find((one) => one.table === table) ?? {};
      return [
        ...chains.map((name) => `:${name} - [0:0]`),
        ...jumps.map(deletion),
        ...chains.map((name) => `-X ${name}`),
      ];
    },
  );
}

/** Finds ours in the output of iptables-save, also what a part of an earlier apply left. */
export function parseInstalled(saved: string): readonly Installed[] {
  const found = new Map<Table, { chains: string[]; jumps: string[] }>();
  let here: { chains: string[]; jumps: string[] } | undefined;
  for (const line of saved.split("\n")) {
    const table = tables.find((name) => line === `*${name}`);
    if (line.startsWith("*")) here = undefined;
    if (table !== undefined) {
      here = { chains: [], jumps: [] };
      found.set(table, here);
    }
    const chain = new RegExp(`^:(${CHAIN_PREFIX}\\w+) `).exec(line)?.[1];
    if (chain !== undefined) here?.chains.push(chain);
    const leadsToUs = new RegExp(`^-A (?!${CHAIN_PREFIX}).* -[jg] ${CHAIN_PREFIX}\\w+( |$)`);
    if (leadsToUs.test(line)) here?.jumps.push(line);
  }
  return [...found]
    .map(([table, ours]) => ({ table, ...ours }))
    .filter(({ chains, jumps }) => chains.length + jumps.length > 0);
}

function script(names: readonly Table[], linesOf: (table: Table) => readonly string[]): string {
  return names
    .map((table) => ({ table, lines: linesOf(table) }))
    .filter(({ lines }) => lines.length > 0)
    .map(({ table, lines }) => `*${table}\n${lines.join("\n")}\nCOMMIT\n`)
    .join("");
}

function deletion(jump: string): string {
  return jump.replace(/^-A/, "-D");
}

function chainName(chain: Chain): string {
  return `${CHAIN_PREFIX}${chain}`;
}

function matchWords(match: Match): readonly string[] {
  const { inInterface, outInterface, from, to, protocol, fromPort, toPort } = match;
  return [
    ...option("-i", inInterface),
    ...option("-o", outInterface),
    ...option("-s", from),
    ...option("-d", to),
    ...option("-p", protocol),
    ...option("--sport", fromPort),
    ...portWords(toPort),
    ...(match.owners ?? []).flatMap(ownerWords),
    ...(match.mark === undefined ? [] : ["-m", "mark", ...option("--mark", match.mark)]),
    ...(match.connectionMark === undefined
      ? []
      : ["-m", "connmark", "--mark", String(match.connectionMark)]),
    ...stateWords(match.state),
  ];
}

function option(flag: string, value: string | number | Not<string | number> | undefined): string[] {
  if (value === undefined) return [];
  if (typeof value === "object") return ["!", flag, String(value.not)];
  return [flag, String(value)];
}

function portWords(ports: Match["toPort"]): string[] {
  if (typeof ports !== "object") return option("--dport", ports);
  if (ports.not.length === 1) return ["!", "--dport", String(ports.not[0])];
  return ["-m", "multiport", "!", "--dports", ports.not.join(",")];
}

function ownerWords({ of, id, isNot }: Owner): string[] {
  const flag = of === "user" ? "--uid-owner" : "--gid-owner";
  return ["-m", "owner", ...(isNot ? ["!"] : []), flag, id];
}

function stateWords(state: Match["state"]): string[] {
  if (state === undefined) return [];
  const states = state === "invalid" ? "INVALID" : "RELATED,ESTABLISHED";
  return ["-m", "conntrack", "--ctstate", states];
}

function verdictWords(verdict: Verdict): readonly string[] {
  switch (verdict.at) {
    case "jump":
      return ["-j", chainName(verdict.chain)];
    case "goto":
      return ["-g", chainName(verdict.chain)];
    case "return":
      return ["-j", "RETURN"];
    case "accept":
      return ["-j", "ACCEPT"];
    case "drop":
      return ["-j", "DROP"];
    case "redirect":
      return ["-j", "REDIRECT", "--to-ports", String(verdict.port)];
    case "tproxy": {
      const mark = `${verdict.mark}/0xffffffff`;
      return ["-j", "TPROXY", "--on-port", String(verdict.port), "--tproxy-mark", mark];
    }
    case "mark":
      return ["-j", "MARK", "--set-mark", String(verdict.mark)];
    case "save-mark":
      return ["-j", "CONNMARK", "--save-mark"];
    case "restore-mark":
      return ["-j", "CONNMARK", "--restore-mark"];
    case "zone":
      return ["-j", "CT", "--zone", String(verdict.zone)];
    default:
      return verdict satisfies never;
  }
}
