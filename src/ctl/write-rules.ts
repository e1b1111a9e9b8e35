/**
 * What apply, create and replace share: read documents, send them in one call (so that all change
 * or none), and say what became of each.
 */
import { userInfo } from "node:os";
import type { ParsedArgs } from "citty";
import {
  type AppliedObject,
  type ApplyMode,
  type ApplyResponse,
  AppliedObject_Change as Change,
} from "../api/gen/mesh/v1/config_pb.ts";
import { isError, type Problem } from "../core/problem.ts";
import { writtenKind } from "../model/config.ts";
import { call, managerAt } from "./client.ts";
import { type CommandContext, EXIT, usageError } from "./command.ts";
import type { dryRunFlags, managerFlags, namespaceFlags, outputFlags } from "./flag.ts";
import { kindOf, wordOf } from "./kind-word.ts";
import { jsonText, yamlText } from "./output/document.ts";
import {
  problemCount,
  problemFromApi,
  problemJson,
  renderProblems,
  withExcerpts,
} from "./output/problem-text.ts";
import { type RuleFile, readRuleFiles } from "./rule-file.ts";

export type WriteArgs = ParsedArgs<
  typeof managerFlags & typeof namespaceFlags & typeof dryRunFlags & typeof outputFlags
>;

export async function writeRules(
  mode: ApplyMode,
  args: WriteArgs,
  context: CommandContext,
): Promise<number> {
  const { io } = context;
  const namespace = args.namespace ?? "default";
  const files = await readRuleFiles(context.repeated("file"), io);
  await checkKind(files, context.rest, namespace);
  const manager = managerAt(args, io);
  const response = await call(
    manager,
    manager.config.apply({
      documents: files.map(({ file, text }) => ({ file, text })),
      mode,
      dryRun: args["dry-run"] ?? false,
      namespace,
      author: authorOf(context),
    }),
  );
  const problems = withExcerpts(response.problems.map(problemFromApi), files);
  return await showResponse(response, problems, args, context);
}

/** `create route-rule -f FILE`: Istio 0.1's spelling; the file must then hold only these. */
async function checkKind(
  files: readonly RuleFile[],
  words: readonly string[],
  namespace: string,
): Promise<void> {
  const [word, name, more] = words;
  if (word === undefined) return;
  if (more !== undefined) throw usageError(`unexpected argument ${JSON.stringify(more)}`);
  const kind = kindOf(word);
  const { readDocuments } = await import("../dialect/read.ts");
  for (const { file, text } of files) {
    const { configs } = readDocuments(text, { file, namespace });
    const other = configs.find(
      (config) => writtenKind(config) !== kind || (name !== undefined && config.meta.name !== name),
    );
    if (other !== undefined)
      throw usageError(
        `${file}:${other.origin.line} holds ${wordOf(writtenKind(other))} ${other.meta.name}`,
        `${words.join(" ")} was announced; without these words anything may be in the file`,
      );
  }
}

async function showResponse(
  response: ApplyResponse,
  problems: readonly Problem[],
  args: WriteArgs,
  { io, paint }: CommandContext,
): Promise<number> {
  const refused = problems.some(isError);
  const dryRun = args["dry-run"] ?? false;
  const { output } = args;
  if (output === "json" || output === "yaml") {
    const document = {
      applied: !refused && !dryRun,
      dryRun,
      revision: Number(response.revision),
      objects: refused ? [] : response.objects.map(appliedJson),
      problems: problems.map(problemJson),
    };
    if (output === "json") io.stdout(jsonText(document));
    else io.stdout(await yamlText(document));
    return refused ? EXIT.failed : EXIT.ok;
  }
  io.stderr(renderProblems(problems, paint));
  if (refused) {
    io.stderr(`${problemCount(problems)}; nothing was changed\n`);
    return EXIT.failed;
  }
  if (response.objects.length === 0) {
    io.stderr("no rules in what was given; nothing was changed\n");
    return EXIT.failed;
  }
  for (const object of response.objects)
    io.stdout(
      output === "name" || output === "short"
        ? `${object.kind}/${object.namespace}/${object.name}\n`
        : `${appliedText(object, dryRun)}\n`,
    );
  return EXIT.ok;
}

const words: Readonly<Record<Change, readonly [done: string, would: string]>> = {
  [Change.UNSPECIFIED]: ["Kept", "Would keep"],
  [Change.CREATED]: ["Created", "Would create"],
  [Change.UPDATED]: ["Updated", "Would update"],
  [Change.UNCHANGED]: ["Unchanged", "Unchanged"],
  [Change.DELETED]: ["Deleted", "Would delete"],
};

/** "Updated config route-rule/default/reviews to revision 7", as Istio 0.2 said it. */
export function appliedText(object: AppliedObject, dryRun: boolean): string {
  const [done, would] = words[object.change];
  const name = `${wordOf(object.kind)}/${object.namespace}/${object.name}`;
  if (dryRun) return `${would} config ${name}`;
  if (object.change === Change.CREATED || object.change === Change.UPDATED) {
    const at = object.change === Change.CREATED ? "at" : "to";
    return `${done} config ${name} ${at} revision ${object.revision}`;
  }
  return `${done} config ${name}`;
}

export function changeName(change: Change): string {
  return words[change][0].toLowerCase();
}

export function appliedJson(object: AppliedObject): Readonly<Record<string, unknown>> {
  const { kind, namespace, name, change, revision } = object;
  return { kind, namespace, name, change: changeName(change), revision: Number(revision) };
}

export function authorOf({ io }: CommandContext): string {
  const named = io.env.USER || io.env.LOGNAME;
  if (named) return named;
  try {
    return userInfo().username;
  } catch {
    // A user id without a name, as containers have.
    return "";
  }
}
