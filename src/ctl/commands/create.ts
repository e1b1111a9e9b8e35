/** `mesh ctl create`: put new rules; refused if any of them exists. */
import { ApplyMode } from "../../api/gen/mesh/v1/config_pb.ts";
import { defineCtlCommand } from "../command.ts";
import { dryRunFlags, fileFlags, managerFlags, namespaceFlags, outputFlags } from "../flag.ts";
import { writeRules } from "../write-rules.ts";

export const createCommand = defineCtlCommand({
  args: { ...fileFlags, ...dryRunFlags, ...namespaceFlags, ...outputFlags, ...managerFlags },
  repeatable: ["file"],
  restName: "KIND",
  details: "Refused as a whole if any of the objects exists; `apply` creates or updates.",
  examples: [
    ["mesh ctl create -f rules/bookinfo/all-v1.yaml", "new rules"],
    ["mesh ctl create route-rule -f canary.yaml", "as Istio 0.1 spelt it"],
  ],
  run: (args, context) => writeRules(ApplyMode.CREATE, args, context),
});
