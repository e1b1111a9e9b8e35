/**
 * docs/ctl.md, made from the same definitions that parse and explain the commands; a test compares.
 * `GOLDEN=write bun test src/ctl/reference.test.ts` writes it anew.
 */
import type { ArgsDef } from "citty";
import type { CommandEntry } from "./command.ts";
import { HIDDEN } from "./command.ts";
import { commonFlags } from "./flag.ts";
import { flagName, usageLine } from "./help.ts";

export async function referencePage(
  commands: readonly CommandEntry[],
  groups: readonly string[],
): Promise<string> {
  const parts = [HEAD];
  for (const group of groups) {
    parts.push(`## ${group}\n`);
    for (const entry of commands.filter((one) => one.group === group))
      parts.push(await commandSection(entry));
  }
  return `${parts.join("\n").trimEnd()}\n`;
}

const HEAD = `# mesh ctl

Made from the definitions of the commands; \`mesh ctl COMMAND --help\` shows the same.

A flag's value follows it: \`-o json\`, \`-ojson\`, \`--output=json\`. What is unknown is refused.
The manager is \`--manager\`, else \`MESH_MANAGER\`, else http://127.0.0.1:15010.

Exit codes: 0 done, 1 refused or failed, 2 called wrong, 3 unreachable.
`;

async function commandSection(entry: CommandEntry): Promise<string> {
  if (entry.group === HIDDEN) return "";
  const command = await entry.load();
  const definitions: ArgsDef = { ...command.args, ...commonFlags };
  const rows = Object.entries(definitions).map(([name, arg]) => {
    const positional = arg.type === ("positional" as string);
    const shown = positional ? name.toUpperCase() : flagName(name, arg);
    return `| \`${shown.replaceAll("|", "\\|")}\` | ${arg.description ?? ""} |`;
  });
  const lines = [
    `### ${entry.name}\n`,
    `${entry.summary}.`,
    entry.aliases.length === 0 ? "" : `Also called ${entry.aliases.join(", ")}.`,
    command.details === "" ? "" : `\n${command.details}`,
    `\n\`\`\`\n${usageLine(entry, command)}\n\`\`\`\n`,
    `| | |\n|---|---|\n${rows.join("\n")}\n`,
    ...command.examples.map(([line, what]) => `* \`${line}\`: ${what}`),
    "",
  ];
  return lines.filter((line, i) => line !== "" || i === lines.length - 1).join("\n");
}
