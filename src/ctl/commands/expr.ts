/** `mesh ctl expr`: what an expression of policy makes of attributes; no server is asked. */
import { MutableBag } from "../../attribute/bag.ts";
import { Fault } from "../../attribute/fault.ts";
import { TrackedBag } from "../../attribute/reference.ts";
import type { TypedValue } from "../../attribute/value.ts";
import { Vocabulary } from "../../attribute/vocabulary.ts";
import { formatProblem } from "../../core/problem.ts";
import { policySetOf } from "../../dialect/policy/policy-set.ts";
import { readDocuments } from "../../dialect/read.ts";
import { compileExpression } from "../../expression/expression.ts";
import { valueJson } from "../../policy/instance-json.ts";
import { attributeFlags, readAttributes } from "../attribute-input.ts";
import { type CommandContext, CtlError, defineCtlCommand, EXIT } from "../command.ts";
import { fileFlags } from "../flag.ts";
import { jsonText } from "../output/document.ts";
import { readRuleFiles } from "../rule-file.ts";
import { harmless } from "../terminal.ts";

export const exprCommand = defineCtlCommand({
  args: {
    expression: { type: "positional", required: true, description: "As in the match of a rule" },
    ...attributeFlags,
    ...fileFlags,
    output: { type: "enum", alias: "o", options: ["table", "json"], description: "How to print" },
  },
  repeatable: ["file"],
  details:
    "Without attributes only its type is told. -f names files whose attribute manifests count. " +
    "Exits with 1 where the expression is wrong or has no value.",
  examples: [
    [`mesh ctl expr 'request.size > 10' -i request.size=12`, "true"],
    [`mesh ctl expr 'source.labels["app"] | "none"' --attributes request.yaml`, "and what it read"],
  ],
  async run(args, context) {
    const vocabulary = await vocabularyOf(context);
    const compiled = compileExpression(args.expression, vocabulary);
    if (!compiled.ok) return wrong(args.expression, compiled.problem, context);
    const { expression } = compiled;
    const values = readAttributes(args, vocabulary);
    const bag = new MutableBag(vocabulary);
    for (const [name, value] of values)
      if (!bag.set(name, value)) throw new CtlError(`no manifest declares ${name}`);
    const tracked = new TrackedBag(vocabulary, bag);
    const value = values.size === 0 ? undefined : expression.evaluate(tracked);
    const references = tracked
      .references()
      .map(({ name, condition, mapKey }) => [
        mapKey === undefined ? name : `${name}::${mapKey}`,
        condition,
      ]);
    const isFault = value instanceof Fault;
    const shown =
      value === undefined || isFault
        ? undefined
        : valueJson({ type: expression.type, value } as TypedValue);
    if (args.output === "json")
      context.io.stdout(
        jsonText({
          type: expression.type,
          ...(shown !== undefined && { value: JSON.parse(shown) as unknown }),
          ...(isFault && { fault: value.message }),
          referenced: references.map(([attribute, condition]) => ({ attribute, condition })),
        }),
      );
    else {
      const { io, paint } = context;
      io.stdout(`type: ${expression.type}\n`);
      if (shown !== undefined) io.stdout(`value: ${harmless(shown)}\n`);
      if (isFault) io.stdout(`${paint.red("no value")}: ${harmless(value.message)}\n`);
      for (const [attribute, condition] of references)
        io.stdout(`read: ${harmless(attribute!)} ${condition}\n`);
    }
    return isFault ? EXIT.failed : EXIT.ok;
  },
});

/** With a caret under the place. */
function wrong(
  source: string,
  { message, offset }: { readonly message: string; readonly offset: number },
  { io, paint }: CommandContext,
): number {
  const before = source.slice(0, offset);
  const line = source.split("\n")[before.split("\n").length - 1] ?? "";
  const column = Bun.stringWidth(before.slice(before.lastIndexOf("\n") + 1));
  io.stderr(`${harmless(line)}\n${" ".repeat(column)}${paint.red("^")}\n${harmless(message)}\n`);
  return EXIT.failed;
}

async function vocabularyOf(context: CommandContext): Promise<Vocabulary> {
  const names = context.repeated("file");
  const files = names.length === 0 ? [] : await readRuleFiles(names, context.io);
  const read = files.map(({ file, text }) => readDocuments(text, { file, namespace: "default" }));
  const [problem] = read.flatMap(({ problems }) => problems);
  if (problem !== undefined) throw new CtlError(formatProblem(problem));
  const { manifests } = policySetOf(read.flatMap(({ configs }) => configs));
  return new Vocabulary(
    manifests.flatMap(({ spec }) => spec.attributes.map(({ name, type }) => [name, type] as const)),
  );
}
