/** `mesh ctl history` and `mesh ctl rollback`: earlier forms of one object, and back to one. */
import type { HistoryEntry } from "../../api/gen/mesh/v1/config_pb.ts";
import { isError } from "../../core/problem.ts";
import { call, managerAt } from "../client.ts";
import { type CommandContext, CtlError, defineCtlCommand, EXIT, usageError } from "../command.ts";
import { dryRunFlags, managerFlags, namespaceFlags } from "../flag.ts";
import { parseReferences, type Reference, wordOf } from "../kind-word.ts";
import { isoTime, jsonText, objectJson, sourceText } from "../output/document.ts";
import { problemFromApi, renderProblems } from "../output/problem-text.ts";
import { renderTable } from "../output/table.ts";
import { unifiedDiff } from "../output/unified-diff.ts";
import { appliedText, authorOf, changeName } from "../write-rules.ts";

export const historyCommand = defineCtlCommand({
  args: {
    limit: { type: "string", valueHint: "N", description: "At most so many, newest first" },
    patch: { type: "boolean", alias: "p", description: "Show what each change changed" },
    output: { type: "enum", alias: "o", options: ["table", "json"], description: "How to print" },
    ...namespaceFlags,
    ...managerFlags,
  },
  restName: "KIND NAME",
  details: "Also of deleted objects.",
  examples: [
    ["mesh ctl history route-rule reviews-canary", "who changed it, and when"],
    ["mesh ctl history route-rule reviews-canary -p", "with what each change changed"],
  ],
  async run(args, context) {
    const { io, paint } = context;
    const reference = oneReference(args.namespace, context);
    const limit = Number(args.limit ?? "20");
    if (!Number.isInteger(limit) || limit < 1) throw usageError("--limit is a number from 1");
    const manager = managerAt(args, io);
    const { entries } = await call(manager, manager.config.history({ ...reference, limit }));
    const { kind, name, namespace } = reference;
    if (entries.length === 0)
      throw new CtlError(`there never was a ${wordOf(kind)} ${name} in namespace ${namespace}`);
    if (args.output === "json") {
      io.stdout(jsonText({ items: entries.map(entryJson) }));
    } else if (args.patch) {
      for (const [i, entry] of entries.entries())
        io.stdout(await entryPatch(entry, entries[i + 1], context));
    } else {
      const rows = entries.map((entry) => [
        String(entry.revision),
        isoTime(entry.timeMs),
        changeName(entry.change),
        entry.author || "-",
        sourceText(entry.object?.source) || "-",
      ]);
      io.stdout(renderTable(["REVISION", "TIME", "CHANGE", "AUTHOR", "SOURCE"], rows, paint));
    }
    return EXIT.ok;
  },
});

export const rollbackCommand = defineCtlCommand({
  args: {
    to: { type: "string", valueHint: "REVISION", description: "Default: the one before" },
    ...dryRunFlags,
    ...namespaceFlags,
    ...managerFlags,
  },
  restName: "KIND NAME",
  details: "The earlier form becomes a new revision, so a rollback can itself be rolled back.",
  examples: [
    ["mesh ctl rollback route-rule reviews-canary", "undo the last change"],
    ["mesh ctl rollback route-rule reviews-canary --to 12", "to a revision that `history` shows"],
  ],
  async run(args, context) {
    const { io, paint } = context;
    const reference = oneReference(args.namespace, context);
    const to = args.to ?? "0";
    if (!/^\d{1,15}$/.test(to)) throw usageError("--to is the number of a revision");
    const dryRun = args["dry-run"] ?? false;
    const manager = managerAt(args, io);
    const revision = BigInt(to);
    const response = await call(
      manager,
      manager.config.rollback({ ...reference, revision, dryRun, author: authorOf(context) }),
    );
    const problems = response.problems.map(problemFromApi);
    io.stderr(renderProblems(problems, paint));
    if (problems.some(isError)) return EXIT.failed;
    for (const object of response.objects) io.stdout(`${appliedText(object, dryRun)}\n`);
    return EXIT.ok;
  },
});

function oneReference(namespace: string | undefined, { rest }: CommandContext): Reference {
  const references = parseReferences(rest, namespace ?? "default");
  const [first, more] = references;
  if (first === undefined || first.name === "" || more !== undefined)
    throw usageError("name one KIND and NAME");
  return first;
}

function entryJson(entry: HistoryEntry): Readonly<Record<string, unknown>> {
  return {
    revision: Number(entry.revision),
    time: isoTime(entry.timeMs),
    author: entry.author,
    change: changeName(entry.change),
    ...(entry.object === undefined ? {} : { object: objectJson(entry.object) }),
  };
}

async function entryPatch(
  entry: HistoryEntry,
  before: HistoryEntry | undefined,
  { paint }: CommandContext,
): Promise<string> {
  const head = `revision ${entry.revision} ${isoTime(entry.timeMs)} ${changeName(entry.change)}`;
  const author = entry.author === "" ? "" : ` by ${entry.author}`;
  const name = `${entry.object?.kind}/${entry.object?.namespace}/${entry.object?.name}`;
  const deleted = changeName(entry.change) === "deleted";
  const [from, to] = [before?.object?.text ?? "", deleted ? "" : (entry.object?.text ?? "")];
  return `${paint.yellow(head + author)}\n${await unifiedDiff(name, from, to, paint)}\n`;
}
