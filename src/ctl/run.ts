/**
 * `mesh ctl`: finds the command, reads its arguments strictly, runs it and returns its exit code.
 * Nothing here is loaded for a command that is not called; a mistake is told in a sentence.
 */
import { didYouMean } from "../core/suggestion.ts";
import { knownLeading, parseCommand, type SplitArguments, splitCommand } from "./arguments.ts";
import {
  type CommandEntry,
  type CtlCommand,
  CtlError,
  contextFor,
  EXIT,
  HIDDEN,
  usageError,
} from "./command.ts";
import { commonFlags, managerFlags, namespaceFlags } from "./flag.ts";
import { commandHelp, rootHelp, usageLine } from "./help.ts";
import { commands } from "./inventory.ts";
import { type CtlIo, harmless, paintFor, processIo } from "./terminal.ts";

const leadingFlags = { ...commonFlags, ...managerFlags, ...namespaceFlags };

/** `argv` is what follows `mesh ctl`. Never throws for anything that a caller can cause. */
export async function runCtl(argv: readonly string[], io: CtlIo = processIo()): Promise<number> {
  try {
    const split = splitCommand(argv, leadingFlags);
    const { name, others } = split;
    if (name === undefined) return await runRoot(others, io);
    if (name === "help") return await runCtl([...others, "--help"], io);
    return await runEntry(findCommand(name), split, io);
  } catch (error) {
    return report(error, io);
  }
}

async function runRoot(others: readonly string[], io: CtlIo): Promise<number> {
  const known = new Set(["-h", "--help"]);
  const unknown = others.find((word) => !known.has(word));
  if (unknown === "--version") return await runCtl(["version", "--client"], io);
  if (unknown !== undefined)
    throw usageError(`unknown flag ${unknown} before a command`, "mesh ctl --help lists commands");
  const asked = others.length > 0;
  (asked ? io.stdout : io.stderr)(rootHelp(paintFor(io)));
  return asked ? EXIT.ok : EXIT.usage;
}

async function runEntry(
  entry: CommandEntry,
  { leading, others }: SplitArguments,
  io: CtlIo,
): Promise<number> {
  const command = await entry.load();
  const end = others.indexOf("--");
  const words = [...leading, ...(end === -1 ? others : others.slice(0, end))];
  if (words.includes("--help") || words.includes("-h")) {
    io.stdout(commandHelp(entry, command, paintFor(io)));
    return EXIT.ok;
  }
  try {
    const parsed = parseCommand([...knownLeading(leading, command.args), ...others], command);
    return await command.run(parsed.args, contextFor(io, commands, parsed));
  } catch (error) {
    const code = report(error, io);
    if (code === EXIT.usage) io.stderr(usageReminder(entry, command));
    return code;
  }
}

function usageReminder(entry: CommandEntry, command: CtlCommand): string {
  return `usage: ${usageLine(entry, command)}\n       mesh ctl ${entry.name} --help\n`;
}

function findCommand(name: string): CommandEntry {
  const found = commands.find((entry) => entry.name === name || entry.aliases.includes(name));
  if (found !== undefined) return found;
  const names = commands.flatMap(({ name, aliases, group }) =>
    group === HIDDEN ? [] : [name, ...aliases],
  );
  const hint = didYouMean(name, names) ?? "mesh ctl --help lists commands";
  throw usageError(`unknown command ${JSON.stringify(name)}`, hint);
}

function report(error: unknown, io: CtlIo): number {
  const paint = paintFor(io);
  if (error instanceof CtlError) {
    io.stderr(`${paint.red("error:")} ${harmless(error.message)}\n`);
    if (error.hint !== "") io.stderr(`${harmless(error.hint)}\n`);
    return error.exitCode;
  }
  const text = error instanceof Error ? error.message : String(error);
  io.stderr(`${paint.red("error:")} ${text} (a mistake of mesh ctl itself)\n`);
  if (io.env.MESH_DEBUG && error instanceof Error) io.stderr(`${error.stack}\n`);
  return EXIT.failed;
}
