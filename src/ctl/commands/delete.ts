/** `mesh ctl delete`: removes objects by name or by file, all in one transaction. */
import { readDocuments } from "../../dialect/read.ts";
import { writtenKind } from "../../model/config.ts";
import { call, managerAt } from "../client.ts";
import { type CommandContext, CtlError, defineCtlCommand, EXIT, usageError } from "../command.ts";
import { dryRunFlags, fileFlags, managerFlags, namespaceFlags } from "../flag.ts";
import { parseReferences, type Reference, wordOf } from "../kind-word.ts";
import { jsonText } from "../output/document.ts";
import { renderProblems } from "../output/problem-text.ts";
import { readRuleFiles } from "../rule-file.ts";
import { appliedJson, authorOf } from "../write-rules.ts";

export const deleteCommand = defineCtlCommand({
  args: {
    ...fileFlags,
    ...dryRunFlags,
    ...namespaceFlags,
    output: { type: "enum", alias: "o", options: ["table", "json"], description: "How to print" },
    ...managerFlags,
  },
  repeatable: ["file"],
  restName: "KIND NAME",
  details: "A deleted object is not lost: `history` still shows it and `rollback` puts it back.",
  examples: [
    ["mesh ctl delete route-rule reviews-canary", "by name; several names work"],
    ["mesh ctl delete -f rules/bookinfo/canary.yaml", "everything that a file defines"],
    ["mesh ctl delete RouteRule/default/reviews-canary", "as `get -o name` prints it"],
  ],
  async run(args, context) {
    const { io } = context;
    const namespace = args.namespace ?? "default";
    const objects = await objectsToDelete(namespace, context);
    const manager = managerAt(args, io);
    const dryRun = args["dry-run"] ?? false;
    const response = await call(
      manager,
      manager.config.delete({ objects, dryRun, author: authorOf(context) }),
    );
    if (args.output === "json") {
      const deleted = response.objects.map(appliedJson);
      io.stdout(jsonText({ dryRun, revision: Number(response.revision), objects: deleted }));
      return EXIT.ok;
    }
    for (const { kind, name } of response.objects)
      io.stdout(`${dryRun ? "Would delete config" : "Deleted config"}: ${wordOf(kind)} ${name}\n`);
    return EXIT.ok;
  },
});

async function objectsToDelete(
  namespace: string,
  { io, paint, repeated, rest }: CommandContext,
): Promise<Reference[]> {
  const names = repeated("file");
  if (rest.length > 0) {
    if (names.length > 0) throw usageError("name objects, or files with -f, not both");
    const references = parseReferences(rest, namespace);
    const unnamed = references.find(({ name }) => name === "");
    if (unnamed === undefined) return references;
    throw usageError(
      `which ${wordOf(unnamed.kind)}?`,
      `all of them: mesh ctl delete $(mesh ctl get ${wordOf(unnamed.kind)} -o name)`,
    );
  }
  if (names.length === 0) throw usageError("nothing to delete", "name a KIND and NAME, or -f FILE");
  const references: Reference[] = [];
  for (const { file, text } of await readRuleFiles(names, io)) {
    const { configs, problems } = readDocuments(text, { file, namespace });
    io.stderr(renderProblems(problems, paint));
    for (const config of configs) {
      const { namespace: space, name } = config.meta;
      references.push({ kind: writtenKind(config), namespace: space, name });
    }
  }
  if (references.length === 0) throw new CtlError("nothing to delete: the files hold no rules");
  return references;
}
