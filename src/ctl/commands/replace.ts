/** `mesh ctl replace`: put new forms of existing rules; refused if any does not exist. */
import { ApplyMode } from "../../api/gen/mesh/v1/config_pb.ts";
import { defineCtlCommand } from "../command.ts";
import { dryRunFlags, fileFlags, managerFlags, namespaceFlags, outputFlags } from "../flag.ts";
import { writeRules } from "../write-rules.ts";

export const replaceCommand = defineCtlCommand({
  args: { ...fileFlags, ...dryRunFlags, ...namespaceFlags, ...outputFlags, ...managerFlags },
  repeatable: ["file"],
  restName: "KIND",
  details: "Refused as a whole if any of the objects does not exist; `apply` creates or updates.",
  examples: [
    ["mesh ctl replace -f canary.yaml", "a new form of existing rules"],
    ["mesh ctl replace route-rule -f canary.yaml", "as Istio 0.1 spelt it"],
  ],
  run: (args, context) => writeRules(ApplyMode.REPLACE, args, context),
});
