/** Policy below rules/ means something: adapters take it, expressions are of the right types. */
import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { mergeManifests } from "../attribute/vocabulary.ts";
import { policySetOf } from "../dialect/policy/policy-set.ts";
import { readDocuments } from "../dialect/read.ts";
import { compileExpression } from "../expression/expression.ts";
import { type ExpressionText, type InstanceFields, isExpressionText } from "../model/instance.ts";
import type { BoundInstance } from "../policy/adapter.ts";
import { readParameters } from "../policy/read-parameters.ts";
import { type Template, templates } from "../policy/template.ts";
import { adapterNamed } from "./inventory.ts";

const rules = join(import.meta.dir, "..", "..", "rules");
const files = readdirSync(rules, { recursive: true, encoding: "utf8" }).filter((name) =>
  name.endsWith(".yaml"),
);
const set = policySetOf(
  files.flatMap((file) => {
    const text = readFileSync(join(rules, file), "utf8");
    return readDocuments(text, { file, namespace: "default" }).configs;
  }),
);
const { vocabulary, conflicts } = mergeManifests(
  set.manifests.map(({ spec }) => spec.attributes.map(({ name, type }) => [name, type] as const)),
);

function expressionsIn(fields: InstanceFields): readonly ExpressionText[] {
  return Object.values(fields).flatMap((one) =>
    isExpressionText(one) ? [one] : expressionsIn(one),
  );
}

test("there are rules, and one vocabulary", () => {
  expect(set.rules.length).toBeGreaterThan(8);
  expect(conflicts).toEqual([]);
});

test("every expression compiles, and those of typed fields are of that type", () => {
  const wrong: string[] = [];
  const check = ({ source, at }: ExpressionText, type?: string): void => {
    const compiled = compileExpression(source, vocabulary);
    const found = compiled.ok ? compiled.expression.type : compiled.problem.message;
    if (!compiled.ok || (type !== undefined && type !== found))
      wrong.push(`${at.file}:${at.line}: ${source}: ${found}, not ${type}`);
  };
  for (const { spec } of set.rules) if (spec.match !== undefined) check(spec.match, "BOOL");
  for (const { spec } of set.instances) {
    for (const one of expressionsIn(spec.fields)) check(one);
    const { fields }: Template = templates[spec.template as keyof typeof templates];
    for (const [name, one] of Object.entries(spec.fields)) {
      expect(Object.keys(fields)).toContain(name);
      const type = fields[name];
      if (isExpressionText(one) && type !== "VALUE") check(one, String(type));
    }
  }
  expect(wrong).toEqual([]);
});

test("every adapter takes the parameters of its handlers, with the instances of rules", () => {
  const bound: readonly BoundInstance[] = set.instances.map(({ name, namespace, spec }) => {
    const { dimensions } = spec.fields;
    const keys = dimensions && !isExpressionText(dimensions) ? Object.keys(dimensions) : undefined;
    return {
      name: `${name}.${spec.writtenKind}.${namespace}`,
      template: spec.template as BoundInstance["template"],
      ...(keys && { dimensions: keys }),
    };
  });
  const problems = set.handlers.flatMap(({ spec }) => {
    const adapter = adapterNamed(spec.adapter)!;
    const mine = bound.filter(({ template }) => adapter.templates.includes(template));
    return readParameters(adapter, spec.parameters.json, { bound: mine }).problems;
  });
  expect(problems).toEqual([]);
});
