/**
 * Puts rules in force and takes them away. Each table changes at once (nftables: all of them); a
 * failure half way takes away what had been done. What is there is asked first, so that applying
 * twice is applying once, and removing finds also what a part of an apply left.
 */
import { CtlError } from "../command.ts";
import type { CaptureOptions, Family } from "./capture-options.ts";
import { type Command, routeCommands, routeRemovals } from "./capture-routes.ts";
import { captureRules } from "./capture-rules.ts";
import { type Installed, installScript, parseInstalled, removeScript } from "./iptables-text.ts";
import { nftInstallScript, nftRemoveScript } from "./nft-text.ts";

export interface CommandResult {
  /** Undefined: there is no such program. */
  readonly code: number | undefined;
  readonly out: string;
  readonly err: string;
}

/** Runs a program to its end. */
export type Run = (command: Command, input?: string) => Promise<CommandResult>;

export type Tool = "iptables" | "nft";

/** Another program may hold the lock of iptables for a moment. */
const LOCK_WAIT_SECONDS = "10";
/** A rule of `ip rule` may be there more than once; not more often than this. */
const REMOVALS_MAX = 16;

const families: readonly Family[] = ["ipv4", "ipv6"];

export function familiesOf({ ipv6 }: CaptureOptions): readonly Family[] {
  return ipv6 ? families : ["ipv4"];
}

/** Throws CtlError, with nothing of ours left in force. */
export async function applyCapture(options: CaptureOptions, tool: Tool, run: Run): Promise<void> {
  try {
    await putRules(options, tool, run);
    // Marks may come before routes, not after: without rules nothing is marked.
    for (const family of familiesOf(options)) {
      await removeRoutes(options, family, run);
      for (const command of routeCommands(options, family)) await must(run, command);
    }
  } catch (error) {
    await removeCapture(options, run).catch(() => undefined);
    throw error;
  }
}

/**
 * Takes away rules of either tool and either family, and the routes for the mark and table in
 * `options`. Resolves with whether there was anything.
 */
export async function removeCapture(options: CaptureOptions, run: Run): Promise<boolean> {
  let found = false;
  for (const family of families) {
    const installed = await installedRules(family, run);
    if (installed.length > 0) {
      await must(run, restore(family), removeScript(installed));
      found = true;
    }
    if (await removeRoutes(options, family, run)) found = true;
  }
  const listed = await run(["nft", "list", "tables"]);
  for (const [family, name] of [["ipv4", "ip"] as const, ["ipv6", "ip6"] as const]) {
    if (!listed.out.split("\n").includes(`table ${name} mesh`)) continue;
    await must(run, ["nft", "-f", "-"], nftRemoveScript([family]));
    found = true;
  }
  return found;
}

async function putRules(options: CaptureOptions, tool: Tool, run: Run): Promise<void> {
  const wanted = familiesOf(options);
  if (tool === "nft") {
    // Both tools' rules at once would capture twice.
    for (const family of families) await removeIptables(family, run);
    const script = nftInstallScript(wanted.map((family) => captureRules(options, family)));
    return await must(run, ["nft", "-f", "-"], script);
  }
  await run(["nft", "-f", "-"], nftRemoveScript(families));
  for (const family of families) {
    if (!wanted.includes(family)) await removeIptables(family, run);
    else {
      const script = installScript(
        captureRules(options, family),
        await installedRules(family, run),
      );
      await must(run, restore(family), script);
    }
  }
}

async function removeIptables(family: Family, run: Run): Promise<void> {
  const installed = await installedRules(family, run);
  if (installed.length > 0) await must(run, restore(family), removeScript(installed));
}

/** Nothing where the tool is missing: then it has installed nothing. */
async function installedRules(family: Family, run: Run): Promise<readonly Installed[]> {
  const saved = await run([family === "ipv4" ? "iptables-save" : "ip6tables-save"]);
  return saved.code === 0 ? parseInstalled(saved.out) : [];
}

function restore(family: Family): Command {
  const program = family === "ipv4" ? "iptables-restore" : "ip6tables-restore";
  return [program, "--noflush", "-w", LOCK_WAIT_SECONDS];
}

async function removeRoutes(options: CaptureOptions, family: Family, run: Run): Promise<boolean> {
  let found = false;
  for (const command of routeRemovals(options, family))
    for (let i = 0; i < REMOVALS_MAX && (await run(command)).code === 0; i++) found = true;
  return found;
}

async function must(run: Run, command: Command, input?: string): Promise<void> {
  const { code, err } = await run(command, input);
  if (code === 0) return;
  const [program] = command;
  if (code === undefined) {
    const other = program === "nft" ? "leave out --nft" : "or use --nft where nftables is";
    throw new CtlError(`${program} is not installed`, 1, `install it, ${other}`);
  }
  const isForbidden = /permission denied|not permitted|must be root/i.test(err);
  const hint = isForbidden ? "rules are root's to change: try sudo" : "";
  throw new CtlError(`${command.join(" ")} failed: ${err.trim()}`, 1, hint);
}
