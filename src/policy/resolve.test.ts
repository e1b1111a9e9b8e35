/**
 * What operators are told about policy that does not fit together, and what works all the same.
 * `resolve.golden` has what they wrote, and beside it what they are told and what is left.
 */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { formatProblem } from "../core/problem.ts";
import { expectGolden } from "../testing/golden.ts";
import { resolveSample } from "../testing/policy-sample.ts";
import type { Resolved } from "./resolve.ts";
import type { ResolvedRule } from "./resolved-policy.ts";

const golden = join(import.meta.dir, "resolve.golden");
const files = [...new Bun.Glob("*.yaml").scanSync(golden)].sort();

test("there is something to read", () => {
  expect(files.length).toBeGreaterThan(5);
});

test.each(files)("%s", (file) => {
  const resolved = resolveSample(readFileSync(join(golden, file), "utf8"), file);
  expectGolden(join(golden, file.replace(".yaml", ".txt")), transcript(resolved));
});

function transcript({ policy, problems }: Resolved): string {
  return [
    ...problems.map(formatProblem),
    "",
    ...policy.rules.flatMap(ruleLines),
    ...[...policy.quotaSpecs, ...policy.httpApiSpecs].map(
      ({ name, services }) => `${name} of ${services.join(", ")}`,
    ),
    "",
  ].join("\n");
}

function ruleLines(rule: ResolvedRule): string[] {
  const operations = [...rule.requestHeaders, ...rule.responseHeaders];
  return [
    `${rule.name} (${rule.runsAt}) if ${rule.match?.canonical ?? "true"}`,
    ...rule.actions.map(
      ({ handler, variety, instances, charge }) =>
        `  ${variety} ${handler.name}: ${instances.map(({ name }) => name).join(", ")}` +
        (charge === 0 ? "" : `, takes ${charge}`),
    ),
    ...operations.map(
      ({ name, operation, values }) =>
        `  ${operation} ${name}: ${values.map(({ canonical }) => canonical).join(", ")}`,
    ),
    ...rule.outputs.map(({ action, field }) => `  reads ${field} of action ${action}`),
  ];
}
