/** `mesh ctl diff`: what apply would change, as a unified diff of the documents. */
import {
  type AppliedObject,
  ApplyMode,
  AppliedObject_Change as Change,
} from "../../api/gen/mesh/v1/config_pb.ts";
import { isError } from "../../core/problem.ts";
import { readDocuments } from "../../dialect/read.ts";
import { configKey } from "../../model/config.ts";
import { call, managerAt } from "../client.ts";
import { defineCtlCommand, EXIT } from "../command.ts";
import { fileFlags, managerFlags, namespaceFlags } from "../flag.ts";
import {
  problemCount,
  problemFromApi,
  renderProblems,
  withExcerpts,
} from "../output/problem-text.ts";
import { unifiedDiff } from "../output/unified-diff.ts";
import { readRuleFiles } from "../rule-file.ts";
import { authorOf } from "../write-rules.ts";

export const diffCommand = defineCtlCommand({
  args: {
    ...fileFlags,
    ...namespaceFlags,
    "exit-code": { type: "boolean", description: "Exit with 1 if anything would change" },
    ...managerFlags,
  },
  repeatable: ["file"],
  restName: "FILE",
  details: "Nothing is changed. Objects that stay as they are do not appear.",
  examples: [
    ["mesh ctl diff -f rules/bookinfo/canary.yaml", "before apply"],
    ["mesh ctl diff -f rules/ --exit-code", "does the mesh have what is in Git?"],
  ],
  async run(args, context) {
    const { io, paint, repeated, rest } = context;
    const namespace = args.namespace ?? "default";
    const files = await readRuleFiles([...repeated("file"), ...rest], io);
    const manager = managerAt(args, io);
    const response = await call(
      manager,
      manager.config.apply({
        documents: files.map(({ file, text }) => ({ file, text })),
        mode: ApplyMode.APPLY,
        dryRun: true,
        namespace,
        author: authorOf(context),
      }),
    );
    const problems = withExcerpts(response.problems.map(problemFromApi), files);
    io.stderr(renderProblems(problems, paint));
    if (problems.some(isError)) {
      io.stderr(`${problemCount(problems)}; apply would change nothing\n`);
      return EXIT.failed;
    }
    const texts = new Map<string, string>();
    for (const { file, text } of files)
      for (const config of readDocuments(text, { file, namespace }).configs)
        texts.set(configKey(config), config.text);
    const changed = response.objects.filter(({ change }) => change !== Change.UNCHANGED);
    for (const object of changed) {
      const name = keyOf(object);
      io.stdout(await unifiedDiff(name, object.previousText, texts.get(name) ?? "", paint));
    }
    return args["exit-code"] && changed.length > 0 ? EXIT.failed : EXIT.ok;
  },
});

function keyOf({ kind, namespace, name }: AppliedObject): string {
  return `${kind}/${namespace}/${name}`;
}
