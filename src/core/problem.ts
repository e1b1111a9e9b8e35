/**
 * What is wrong with something that an operator wrote: a value, reported, never thrown. A reader
 * of rules, files or flags returns all of its problems at once; a caller shows them all.
 */
export interface Position {
  readonly file: string;
  /** From 1; 0: the whole file. */
  readonly line: number;
  /** From 1; 0: the whole line. */
  readonly column: number;
}

export type Severity = "error" | "warning";

export interface Problem {
  readonly severity: Severity;
  readonly position: Position;
  /** Where in the document: "spec.route[1].weight"; empty for the document itself. */
  readonly path: string;
  readonly message: string;
  /** What to write instead: "did you mean precedence?" */
  readonly suggestion?: string;
  /** The line of text at `position`, for a caret. */
  readonly excerpt?: string;
}

export function isError(problem: Problem): boolean {
  return problem.severity === "error";
}

/** "rules/a.yaml:3:7: spec.precedense: unknown field" */
export function formatProblem(problem: Problem): string {
  const { file, line, column } = problem.position;
  const place = line === 0 ? file : column === 0 ? `${file}:${line}` : `${file}:${line}:${column}`;
  const path = problem.path === "" ? "" : `${problem.path}: `;
  const severity = problem.severity === "warning" ? "warning: " : "";
  const suggestion = problem.suggestion === undefined ? "" : ` (${problem.suggestion})`;
  return `${place}: ${severity}${path}${problem.message}${suggestion}`;
}
