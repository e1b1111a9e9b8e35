/** `mesh ctl complete -- WORD…`: what the last word may become, one a line, for shells. */
import { type CommandContext, defineCtlCommand, EXIT } from "../command.ts";
import { completionsFor } from "../completion.ts";

export const completeCommand = defineCtlCommand({
  args: {},
  restName: "WORD",
  examples: [['mesh ctl complete -- get ""', "as a shell asks"]],
  async run(_args, { io, rest }: CommandContext) {
    for (const word of await completionsFor(rest, io)) io.stdout(`${word}\n`);
    return EXIT.ok;
  },
});
