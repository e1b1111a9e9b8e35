/** `mesh ctl validate`: reads rules as the manager would, without asking anybody. */
import { policyProblems, problemsOfPart } from "../../adapter/policy-problem.ts";
import { isError, type Problem } from "../../core/problem.ts";
import { readDocuments } from "../../dialect/read.ts";
import { validateSet } from "../../dialect/validate-set.ts";
import type { Config } from "../../model/config.ts";
import { defineCtlCommand, EXIT } from "../command.ts";
import { fileFlags, namespaceFlags } from "../flag.ts";
import { jsonText } from "../output/document.ts";
import { problemCount, problemJson, renderProblems, withExcerpts } from "../output/problem-text.ts";
import { readRuleFiles } from "../rule-file.ts";

export const validateCommand = defineCtlCommand({
  args: {
    ...fileFlags,
    ...namespaceFlags,
    output: { type: "enum", alias: "o", options: ["table", "json"], description: "How to print" },
    strict: { type: "boolean", description: "Warnings fail too" },
  },
  repeatable: ["file"],
  restName: "FILE",
  details:
    "Needs no manager: the same reader and the same checks run here. References to services are\n" +
    "not judged, since only a running mesh knows its services. Handlers, instances and quotas\n" +
    "that are named and not among the files are warned of: the mesh may have them.",
  examples: [
    ["mesh ctl validate rules/", "every file below a directory"],
    ["mesh ctl validate -f a.yaml -f b.yaml --strict", "in a pipeline"],
    ["cat rule.yaml | mesh ctl validate -", "stdin"],
  ],
  async run(args, { io, paint, repeated, rest }) {
    const names = [...repeated("file"), ...rest];
    const files = await readRuleFiles(names, io);
    const namespace = args.namespace ?? "default";
    const configs: Config[] = [];
    const problems: Problem[] = [];
    const counts = new Map<string, number>();
    for (const { file, text } of files) {
      const read = readDocuments(text, { file, namespace });
      configs.push(...read.configs);
      problems.push(...read.problems);
      counts.set(file, read.configs.length);
    }
    const between = [...validateSet(configs, {}), ...problemsOfPart(policyProblems(configs))];
    problems.push(...withExcerpts(between, files));
    const failed = args.strict ? problems.length > 0 : problems.some(isError);
    if (args.output === "json") {
      const valid = !failed;
      const listed = [...counts].map(([file, objects]) => ({ file, objects }));
      io.stdout(jsonText({ valid, files: listed, problems: problems.map(problemJson) }));
      return failed ? EXIT.failed : EXIT.ok;
    }
    io.stderr(renderProblems(problems, paint));
    for (const [file, count] of counts)
      if (!problems.some((problem) => problem.position.file === file))
        io.stdout(`${paint.green("ok")}  ${file} (${count} object${count === 1 ? "" : "s"})\n`);
    const total = `${files.length} file${files.length === 1 ? "" : "s"}`;
    if (problems.length > 0) io.stderr(`${problemCount(problems)} in ${total}\n`);
    return failed ? EXIT.failed : EXIT.ok;
  },
});
