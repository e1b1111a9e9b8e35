/**
 * Strict reading of arguments around citty's parser.
 *
 * citty accepts unknown flags and keeps only the last of a repeated one. So arguments are first
 * checked here against the same definitions and written in one canonical form (`--flag=value`),
 * which citty then parses. Every mistake is a usage error that names what was probably meant.
 */
import { type ArgDef, type ArgsDef, type ParsedArgs, parseArgs } from "citty";
import { didYouMean } from "../core/suggestion.ts";
import { type CtlCommand, usageError } from "./command.ts";

export interface ParsedCommand {
  readonly args: ParsedArgs;
  readonly repeated: ReadonlyMap<string, readonly string[]>;
  readonly rest: readonly string[];
}

interface Flag {
  readonly name: string;
  readonly takesValue: boolean;
  /** `--no-name` makes sense. */
  readonly negatable: boolean;
}

export function parseCommand(argv: readonly string[], command: CtlCommand): ParsedCommand {
  const flags = flagsByName(command.args);
  const values = new Map<string, string[]>();
  const positionals: string[] = [];
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i]!;
    if (word === "--") {
      positionals.push(...argv.slice(i + 1));
      break;
    }
    if (word === "-" || !word.startsWith("-")) {
      positionals.push(word);
      continue;
    }
    const read = word.startsWith("--") ? readLong(word, flags) : readShort(word, flags);
    let value = read.value;
    if (value === undefined && read.flag.takesValue) {
      value = argv[++i];
      if (value === undefined) throw usageError(`flag ${word} needs a value`);
    }
    const seen = values.get(read.flag.name) ?? [];
    if (seen.length > 0 && !command.repeatable.includes(read.flag.name) && seen[0] !== value)
      throw usageError(`flag --${read.flag.name} is given twice, with different values`);
    values.set(read.flag.name, [...seen, value ?? "true"]);
  }
  return assemble(command, values, positionals);
}

export interface SplitArguments {
  readonly name: string | undefined;
  /** What stood before the name. */
  readonly leading: readonly string[];
  readonly others: readonly string[];
}

/** Finds the word that names the command; flags that are everywhere may stand before it. */
export function splitCommand(argv: readonly string[], common: ArgsDef): SplitArguments {
  const flags = flagsByName(common);
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i]!;
    if (word === "--") break;
    if (!word.startsWith("-"))
      return { name: word, leading: argv.slice(0, i), others: argv.slice(i + 1) };
    const flag = flags.get(word.replace(/=.*$/s, ""));
    if (flag === undefined) break;
    if (flag.takesValue && !word.includes("=")) i++;
  }
  return { name: undefined, leading: [], others: argv };
}

/** Of flags before the command, those that it knows: `--manager` is nothing to `validate`. */
export function knownLeading(leading: readonly string[], args: ArgsDef): readonly string[] {
  const flags = flagsByName(args);
  const known: string[] = [];
  for (let i = 0; i < leading.length; i++) {
    const word = leading[i]!;
    const value = word.includes("=") || /^(-h|--help)$/.test(word) ? [] : [leading[++i] ?? ""];
    if (flags.has(word.replace(/=.*$/s, ""))) known.push(word, ...value);
  }
  return known;
}

function assemble(
  command: CtlCommand,
  values: ReadonlyMap<string, readonly string[]>,
  positionals: readonly string[],
): ParsedCommand {
  const declared = Object.entries(command.args).filter(([, arg]) => arg.type === "positional");
  const missing = declared.slice(positionals.length).find(([, arg]) => arg.required !== false);
  if (missing !== undefined) throw usageError(`missing argument ${missing[0].toUpperCase()}`);
  const rest = positionals.slice(declared.length);
  if (rest.length > 0 && command.restName === undefined)
    throw usageError(`unexpected argument ${JSON.stringify(rest[0])}`);
  for (const [name, arg] of Object.entries(command.args)) {
    const options: readonly string[] = arg.type === "enum" ? (arg.options ?? []) : [];
    const wrong = options.length > 0 && values.get(name)?.find((v) => !options.includes(v));
    if (wrong === false || wrong === undefined) continue;
    throw usageError(
      `flag --${name} cannot be ${JSON.stringify(wrong)}; it is one of ${options.join(", ")}`,
      didYouMean(wrong, options),
    );
  }
  const canonical = [...values].map(([name, all]) => {
    const value = all.at(-1)!;
    if (command.args[name]?.type !== "boolean") return `--${name}=${value}`;
    return value === "false" ? `--no-${name}` : `--${name}`;
  });
  const args = parseArgs([...canonical, "--", ...positionals], command.args);
  return { args, repeated: values, rest };
}

function readLong(
  word: string,
  flags: ReadonlyMap<string, Flag>,
): { readonly flag: Flag; readonly value: string | undefined } {
  const equals = word.indexOf("=");
  const name = equals === -1 ? word : word.slice(0, equals);
  const value = equals === -1 ? undefined : word.slice(equals + 1);
  const flag = flags.get(name);
  if (flag !== undefined) {
    if (!flag.takesValue && value !== undefined && value !== "true" && value !== "false")
      throw usageError(`flag ${name} takes no value`);
    return { flag, value };
  }
  const negated = name.startsWith("--no-") ? flags.get(`--${name.slice(5)}`) : undefined;
  if (negated?.negatable && value === undefined) return { flag: negated, value: "false" };
  throw unknownFlag(name, flags);
}

/** `-o json`, `-ojson`, `-o=json`; `-w`. */
function readShort(
  word: string,
  flags: ReadonlyMap<string, Flag>,
): { readonly flag: Flag; readonly value: string | undefined } {
  const flag = flags.get(word.slice(0, 2));
  if (flag === undefined) throw unknownFlag(word, flags);
  const attached = word.slice(2);
  if (attached === "") return { flag, value: undefined };
  if (!flag.takesValue) throw unknownFlag(word, flags);
  return { flag, value: attached.startsWith("=") ? attached.slice(1) : attached };
}

function unknownFlag(name: string, flags: ReadonlyMap<string, Flag>): Error {
  const near = didYouMean(name.startsWith("--") ? name : `-${name}`, flags.keys());
  return usageError(`unknown flag ${name}`, near);
}

/** Keys as typed: "--output", "-o". */
function flagsByName(definitions: ArgsDef): ReadonlyMap<string, Flag> {
  const flags = new Map<string, Flag>();
  for (const [name, arg] of Object.entries(definitions)) {
    if (arg.type === "positional") continue;
    const boolean = arg.type === "boolean";
    const flag = { name, takesValue: !boolean, negatable: boolean && arg.default === true };
    flags.set(`--${name}`, flag);
    for (const alias of aliasesOf(arg))
      flags.set(alias.length === 1 ? `-${alias}` : `--${alias}`, flag);
  }
  return flags;
}

export function aliasesOf(arg: ArgDef): readonly string[] {
  if (!("alias" in arg) || arg.alias === undefined) return [];
  return [arg.alias].flat();
}
