/**
 * What a command of `mesh ctl` is: citty definitions of its arguments, examples, and a function
 * from parsed arguments to an exit code.
 *
 *   0  done          1  refused or failed
 *   2  called wrong  3  the manager (or proxy) cannot be reached
 */
import type { ArgsDef, ParsedArgs } from "citty";
import { type CtlIo, type Paint, paintFor } from "./terminal.ts";

export const EXIT = { ok: 0, failed: 1, usage: 2, unreachable: 3 } as const;

/** Ends a command with one or more lines on stderr and an exit code; never a stack trace. */
export class CtlError extends Error {
  override readonly name = "CtlError";
  readonly exitCode: number;
  /** What to do about it. */
  readonly hint: string;

  constructor(message: string, exitCode: number = EXIT.failed, hint: string | undefined = "") {
    super(message);
    this.exitCode = exitCode;
    this.hint = hint;
  }
}

export function usageError(message: string, hint: string | undefined = ""): CtlError {
  return new CtlError(message, EXIT.usage, hint);
}

/** The group of commands that scripts call and people need not see. */
export const HIDDEN = "";

/** A row of the inventory. */
export interface CommandEntry {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly group: string;
  readonly summary: string;
  readonly load: () => Promise<CtlCommand>;
}

export interface CommandContext {
  readonly io: CtlIo;
  readonly paint: Paint;
  /** All commands, for those that speak of others. */
  readonly commands: readonly CommandEntry[];
  /** Every value of a flag that may be repeated, in order; citty itself keeps the last. */
  readonly repeated: (flag: string) => readonly string[];
  /** Positional arguments beyond the declared ones. */
  readonly rest: readonly string[];
}

export interface CtlCommand {
  readonly args: ArgsDef;
  /** Names of string flags that may be given more than once. */
  readonly repeatable: readonly string[];
  /** What further positional arguments are, e.g. "NAME"; absent: there are none. */
  readonly restName?: string;
  /** A paragraph for `--help`, below the summary. */
  readonly details: string;
  readonly examples: readonly (readonly [command: string, what: string])[];
  readonly run: (args: ParsedArgs, context: CommandContext) => Promise<number>;
}

interface CommandOptions<T extends ArgsDef> {
  readonly args: T;
  readonly repeatable?: readonly (keyof T & string)[];
  readonly restName?: string;
  readonly details?: string;
  readonly examples: CtlCommand["examples"];
  readonly run: (args: ParsedArgs<T>, context: CommandContext) => Promise<number>;
}

/** Keeps the types of `args` for `run`, and forgets them for the inventory. */
export function defineCtlCommand<const T extends ArgsDef>(options: CommandOptions<T>): CtlCommand {
  const { args, examples, run, restName } = options;
  return {
    args,
    examples,
    repeatable: options.repeatable ?? [],
    details: options.details ?? "",
    ...(restName === undefined ? {} : { restName }),
    // The arguments were parsed by `args`, so they have the type that follows from it.
    run: (parsed, context) => run(parsed as ParsedArgs<T>, context),
  };
}

/** What was read from the command line, beyond `args`. */
interface Given {
  readonly repeated: ReadonlyMap<string, readonly string[]>;
  readonly rest: readonly string[];
}

export function contextFor(
  io: CtlIo,
  commands: readonly CommandEntry[],
  { repeated, rest }: Given,
): CommandContext {
  return { io, paint: paintFor(io), commands, rest, repeated: (flag) => repeated.get(flag) ?? [] };
}
