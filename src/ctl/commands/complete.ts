/** `mesh ctl complete -- WORD…`: what the last word may become, one a line, for shells. */
import { defineCtlCommand, EXIT } from "../command.ts";
import { completionsFor } from "../completion.ts";

export const completeCommand = defineCtlCommand({
  args: {},
  restName: "WORD",
  examples: [['mesh ctl complete -- get ""', "as a shell asks"]],
  async run(_args, context) {
    for (const word of await completionsFor(context)) context.io.stdout(`${word}\n`);
    return EXIT.ok;
  },
});
