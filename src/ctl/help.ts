/** The text of `--help`, made from a command's definitions; the reference page uses the same. */
import type { ArgDef, ArgsDef } from "citty";
import { aliasesOf } from "./arguments.ts";
import { type CommandEntry, type CtlCommand, HIDDEN } from "./command.ts";
import { commonFlags } from "./flag.ts";
import { commands, groups } from "./inventory.ts";
import type { Paint } from "./terminal.ts";

export function rootHelp(paint: Paint): string {
  const visible = commands.filter(({ group }) => group !== HIDDEN);
  const width = Math.max(...visible.map(({ name }) => name.length)) + 2;
  const sections = groups.map((group) => {
    const lines = visible
      .filter((entry) => entry.group === group)
      .map(
        ({ name, summary }) => `  ${paint.cyan(name)}${" ".repeat(width - name.length)}${summary}`,
      );
    return `${paint.bold(group)}\n${lines.join("\n")}\n`;
  });
  return [
    "mesh ctl: steer a mesh and see what it does.\n",
    `${paint.bold("Usage")}\n  mesh ctl COMMAND [FLAGS]\n`,
    ...sections,
    paint.bold("Try"),
    "  mesh ctl demo                 a whole mesh on this machine, with traffic",
    "  mesh ctl COMMAND --help       flags and examples of a command",
    "\nThe manager is --manager URL, or MESH_MANAGER, or http://127.0.0.1:15010.",
    "Exit codes: 0 done, 1 refused or failed, 2 called wrong, 3 unreachable.\n",
  ].join("\n");
}

export function commandHelp(entry: CommandEntry, command: CtlCommand, paint: Paint): string {
  const parts = [`${entry.summary}.\n`, `${paint.bold("Usage")}\n  ${usageLine(entry, command)}\n`];
  if (command.details !== "") parts.push(`${command.details}\n`);
  const definitions: ArgsDef = { ...command.args, ...commonFlags };
  const all = Object.entries(definitions);
  const positional = all.filter(([, arg]) => arg.type === "positional");
  const flags = all.filter(([, arg]) => arg.type !== "positional" && arg.description !== undefined);
  if (positional.length > 0)
    parts.push(
      section(
        "Arguments",
        positional.map(([name, arg]) => [name.toUpperCase(), describe(arg)]),
        paint,
      ),
    );
  parts.push(
    section(
      "Flags",
      flags.map(([name, arg]) => [flagName(name, arg), describe(arg)]),
      paint,
    ),
  );
  if (command.examples.length > 0)
    parts.push(
      section(
        "Examples",
        command.examples.map(([line, what]) => [line, what]),
        paint,
      ),
    );
  if (entry.aliases.length > 0) parts.push(`Also called: ${entry.aliases.join(", ")}\n`);
  return parts.join("\n");
}

export function usageLine(entry: CommandEntry, command: CtlCommand): string {
  const words = Object.entries(command.args)
    .filter(([, arg]) => arg.type === "positional")
    .map(([name, arg]) =>
      arg.required === false ? `[${name.toUpperCase()}]` : name.toUpperCase(),
    );
  if (command.restName !== undefined) words.push(`[${command.restName}…]`);
  return ["mesh ctl", entry.name, ...words, "[FLAGS]"].join(" ");
}

export function flagName(name: string, arg: ArgDef): string {
  const names = [
    ...aliasesOf(arg)
      .filter((a) => a.length === 1)
      .map((a) => `-${a}`),
    `--${name}`,
  ];
  const options = arg.type === "enum" ? arg.options?.join("|") : undefined;
  const hint = options ?? arg.valueHint;
  return arg.type === "boolean" ? names.join(", ") : `${names.join(", ")} ${hint ?? "VALUE"}`;
}

function describe(arg: ArgDef): string {
  const text = arg.description ?? "";
  return arg.default === undefined || arg.type === "boolean"
    ? text
    : `${text} (default: ${arg.default})`;
}

function section(title: string, rows: readonly (readonly string[])[], paint: Paint): string {
  const width = Math.max(...rows.map(([left]) => left!.length)) + 2;
  // A long left side takes a line of its own, so that the right side stays in view.
  const lines = rows.map(([left, right]) =>
    width > 44
      ? `  ${paint.cyan(left!)}\n      ${right}`
      : `  ${paint.cyan(left!)}${" ".repeat(width - left!.length)}${right}`,
  );
  return `${paint.bold(title)}\n${lines.join("\n")}\n`;
}
