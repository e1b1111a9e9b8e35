/**
 * Every command of `mesh ctl`, in the order in which help shows them. A command's own module is
 * loaded when it is called, so that starting costs the same however many there are.
 */
import type { CtlCommand } from "./command.ts";

export interface CommandEntry {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly group: string;
  readonly summary: string;
  readonly load: () => Promise<CtlCommand>;
}

const RULES = "Rules";
const STATE = "State of the mesh";
const OTHER = "Other";

export const commands: readonly CommandEntry[] = [
  {
    name: "version",
    aliases: [],
    group: OTHER,
    summary: "Versions of this binary, of the manager and of the proxies",
    load: async () => (await import("./commands/version.ts")).versionCommand,
  },
];

export const groups: readonly string[] = [RULES, STATE, OTHER];
/** Commands that scripts call and people need not see. */
export const HIDDEN = "";
