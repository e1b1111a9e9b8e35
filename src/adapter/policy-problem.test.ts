/** Policy of files, which may be a part of what a mesh has. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { formatProblem } from "../core/problem.ts";
import { readDocuments } from "../dialect/read.ts";
import { policyProblems, problemsOfPart } from "./policy-problem.ts";

function told(text: string): { readonly whole: string[]; readonly part: string[] } {
  const { configs } = readDocuments(text, { file: "p.yaml", namespace: "default" });
  const problems = policyProblems(configs);
  return {
    whole: problems.map(formatProblem),
    part: problemsOfPart(problems).map(formatProblem),
  };
}

const rule = (handler: string): string => `
kind: rule
metadata: { name: r }
spec:
  actions:
  - handler: ${handler}
    instances: [nothing]
---
kind: instance
metadata: { name: nothing }
spec: { compiledTemplate: checknothing }
---
kind: handler
metadata: { name: broken }
spec: { compiledAdapter: deneir }
`;

test("what is named and not there may be elsewhere, and so may be what a rule then lacks", () => {
  const { whole, part } = told(rule("elsewhere"));
  const broken = "p.yaml:15:26: spec.adapter: adapter 'deneir' not found (did you mean denier?)";
  expect(whole).toEqual([
    "p.yaml:2:1: spec: No valid actions found in rule",
    "p.yaml:6:14: spec.actions[0].handler: Handler not found: handler='elsewhere'",
    broken,
  ]);
  expect(part).toEqual([
    "p.yaml:2:1: warning: spec: No valid actions found in rule",
    "p.yaml:6:14: warning: spec.actions[0].handler: Handler not found: handler='elsewhere'",
    broken,
  ]);
});

test("what is named and broken is broken everywhere, and so is what follows", () => {
  const { whole, part } = told(rule("broken"));
  expect(whole).toHaveLength(3);
  expect(part).toEqual(whole);
});

test("the policy that we ship is fine, all of it together", () => {
  const rules = join(import.meta.dir, "..", "..", "rules");
  const files = [...new Bun.Glob("**/*.yaml").scanSync(rules)].sort();
  const configs = files.flatMap((file) => {
    const text = readFileSync(join(rules, file), "utf8");
    return readDocuments(text, { file, namespace: "default" }).configs;
  });
  expect(configs.filter(({ kind }) => kind === "rule").length).toBeGreaterThan(8);
  expect(policyProblems(configs).map(formatProblem)).toEqual([]);
});

test("without policy there is nothing to judge", () => {
  expect(told("")).toEqual({ whole: [], part: [] });
});
