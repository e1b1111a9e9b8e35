/** `mesh ctl apply`: create or update everything in the files, in one transaction. */
import { ApplyMode } from "../../api/gen/mesh/v1/config_pb.ts";
import { defineCtlCommand } from "../command.ts";
import { dryRunFlags, fileFlags, managerFlags, namespaceFlags, outputFlags } from "../flag.ts";
import { writeRules } from "../write-rules.ts";

export const applyCommand = defineCtlCommand({
  args: { ...fileFlags, ...dryRunFlags, ...namespaceFlags, ...outputFlags, ...managerFlags },
  repeatable: ["file"],
  restName: "KIND",
  details:
    "All documents of all files change together, or none does. Every problem is shown with its\n" +
    "file, line and column.",
  examples: [
    ["mesh ctl apply -f rules/bookinfo/canary.yaml", "one file"],
    ["mesh ctl apply -f rules/ -f extra.yaml", "a directory and a file, as one change"],
    ["mesh ctl apply -f - < canary.yaml", "stdin"],
    ["mesh ctl apply -f canary.yaml --dry-run", "only say what would change"],
  ],
  run: (args, context) => writeRules(ApplyMode.APPLY, args, context),
});
