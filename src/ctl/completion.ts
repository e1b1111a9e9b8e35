/**
 * What may come next on a command line: commands, flags, values of flags, kinds; and names that the
 * manager knows, if it answers within a blink.
 */
import { aliasesOf } from "./arguments.ts";
import { type CommandContext, type CtlCommand, HIDDEN } from "./command.ts";
import { commonFlags } from "./flag.ts";
import { kindOf, kindWords } from "./kind-word.ts";
import type { CtlIo } from "./terminal.ts";

const PATIENCE_MS = 300;

/** `rest` follows `mesh ctl`; the last is being typed. */
export async function completionsFor({ rest, io, commands }: CommandContext): Promise<string[]> {
  const typed = rest.at(-1) ?? "";
  const [name, ...before] = rest.slice(0, -1);
  const starting = (all: readonly string[]): string[] => all.filter((w) => w.startsWith(typed));
  if (name === undefined)
    return starting(commands.filter(({ group }) => group !== HIDDEN).map((entry) => entry.name));
  const entry = commands.find((one) => one.name === name || one.aliases.includes(name));
  if (entry === undefined) return [];
  const command = await entry.load();
  const values = flagValues(before.at(-1) ?? "", command);
  if (values !== undefined) return starting(values);
  if (typed.startsWith("-")) return starting(flagNames(command));
  const kindFirst = command.restName?.startsWith("KIND") === true;
  const [kind] = before.filter((word) => !word.startsWith("-"));
  if (kindFirst && kind === undefined) return starting(kindWords);
  if (kindFirst) return starting(await namesOf(kind ?? "", before, io));
  if (entry.name === "explain")
    return starting(kind === undefined ? ["rule", "denial"] : await namesOf(kind, before, io));
  if (entry.name === "config") return starting(await proxyNames(before, io));
  return [];
}

/** Of the flag that was typed just before; undefined where a word of its own follows. */
function flagValues(flag: string, command: CtlCommand): readonly string[] | undefined {
  for (const [name, arg] of Object.entries(command.args)) {
    const spellings = [`--${name}`, ...aliasesOf(arg).map((alias) => `-${alias}`)];
    if (!spellings.includes(flag) || arg.type === "boolean" || arg.type === "positional") continue;
    return arg.type === "enum" ? (arg.options ?? []) : [];
  }
  return undefined;
}

function flagNames(command: CtlCommand): readonly string[] {
  return Object.entries({ ...command.args, ...commonFlags })
    .filter(([, arg]) => arg.type !== ("positional" as string))
    .map(([name]) => `--${name}`);
}

async function namesOf(word: string, before: readonly string[], io: CtlIo): Promise<string[]> {
  return await quickly(before, io, async (manager) => {
    const { objects } = await manager.config.list({ kind: kindOf(word) });
    return objects.map(({ name }) => name);
  });
}

async function proxyNames(before: readonly string[], io: CtlIo): Promise<string[]> {
  if (before.some((word) => !word.startsWith("-")))
    return ["listeners", "routes", "clusters", "endpoints", "policy"];
  return await quickly(before, io, async (manager) => {
    const { proxies } = await manager.status.listProxies({});
    return proxies.map(({ nodeId }) => nodeId);
  });
}

type Ask = (manager: ReturnType<typeof import("./client.ts").managerAt>) => Promise<string[]>;

/** Nothing, rather than a wait or a complaint in the middle of a command line. */
async function quickly(before: readonly string[], io: CtlIo, ask: Ask): Promise<string[]> {
  try {
    const { managerAt } = await import("./client.ts");
    const at = before.indexOf("--manager");
    const manager = managerAt({ manager: at === -1 ? undefined : before[at + 1] }, io, PATIENCE_MS);
    return await ask(manager);
  } catch {
    return [];
  }
}
