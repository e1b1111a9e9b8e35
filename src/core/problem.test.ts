/** How a problem reads on one line. */
import { expect, test } from "bun:test";
import { formatProblem, isError, type Problem } from "./problem.ts";

const problem: Problem = {
  severity: "error",
  position: { file: "rules/a.yaml", line: 3, column: 7 },
  path: "spec.precedense",
  message: "unknown field",
  suggestion: "did you mean precedence?",
};

test("place, path, message and suggestion", () => {
  expect(formatProblem(problem)).toBe(
    "rules/a.yaml:3:7: spec.precedense: unknown field (did you mean precedence?)",
  );
});

test("a whole file has no line, a warning says so", () => {
  const position = { file: "rules/b.yaml", line: 0, column: 0 };
  const warning: Problem = { severity: "warning", position, path: "", message: "empty" };
  expect(formatProblem(warning)).toBe("rules/b.yaml: warning: empty");
  expect([isError(problem), isError(warning)]).toEqual([true, false]);
});
