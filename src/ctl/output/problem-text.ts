/**
 * Problems as operators read them: where, what, the line itself with a caret, and what to write
 * instead. All of them, in the order of the files.
 *
 *   rules/canary.yaml:7:3: error: spec.precedense: unknown field
 *     7 |   precedense: 2
 *       |   ^~~~~~~~~~
 *       = did you mean precedence?
 */
import type { ConfigProblem } from "../../api/gen/mesh/v1/config_pb.ts";
import type { Problem } from "../../core/problem.ts";
import { harmless, type Paint } from "../terminal.ts";

export function renderProblems(problems: readonly Problem[], paint: Paint): string {
  return harmless(problems.map((problem) => renderProblem(problem, paint)).join(""));
}

function renderProblem(problem: Problem, paint: Paint): string {
  const { file, line, column } = problem.position;
  const place = [file, line || undefined, (line && column) || undefined]
    .filter((part) => part !== undefined)
    .join(":");
  const isError = problem.severity === "error";
  const mark = isError ? paint.red("error") : paint.yellow("warning");
  const path = problem.path === "" ? "" : `${problem.path}: `;
  let text = `${paint.bold(place)}: ${mark}: ${path}${problem.message}\n`;
  const gutter = line === 0 ? " " : String(line).replace(/./g, " ");
  const excerpt = problem.excerpt?.trimEnd() ?? "";
  if (line !== 0 && excerpt !== "") {
    text += `  ${paint.dim(`${line} |`)} ${excerpt}\n`;
    if (column !== 0) {
      const caret = (isError ? paint.red : paint.yellow)(underline(excerpt, column));
      text += `  ${gutter} ${paint.dim("|")} ${padding(excerpt, column)}${caret}\n`;
    }
  }
  if (problem.suggestion) text += `  ${gutter} ${paint.dim("=")} ${problem.suggestion}\n`;
  return text;
}

/** Blanks as wide as what stands before the column; tabs stay tabs. */
function padding(excerpt: string, column: number): string {
  const before = excerpt.slice(0, column - 1);
  return [...before].map((c) => (c === "\t" ? c : " ".repeat(Bun.stringWidth(c)))).join("");
}

function underline(excerpt: string, column: number): string {
  const word = /^(?:"[^"]*"|'[^']*'|[^\s:,{}[\]]+)/.exec(excerpt.slice(column - 1))?.[0] ?? "";
  return `^${"~".repeat(Math.max(0, Bun.stringWidth(word) - 1))}`;
}

/** "2 errors and 1 warning". */
export function problemCount(problems: readonly Problem[]): string {
  const errors = problems.filter(({ severity }) => severity === "error").length;
  const warnings = problems.length - errors;
  const parts = [
    errors > 0 ? `${errors} error${errors === 1 ? "" : "s"}` : "",
    warnings > 0 ? `${warnings} warning${warnings === 1 ? "" : "s"}` : "",
  ].filter((part) => part !== "");
  return parts.length === 0 ? "no problems" : parts.join(" and ");
}

/** For `-o json`. */
export function problemJson(problem: Problem): Readonly<Record<string, unknown>> {
  const { severity, position, path, message, suggestion } = problem;
  return { severity, ...position, path, message, ...(suggestion ? { suggestion } : {}) };
}

/** Adds the line of text where it is missing and the file is at hand. */
export function withExcerpts(
  problems: readonly Problem[],
  files: readonly { readonly file: string; readonly text: string }[],
): readonly Problem[] {
  const lines = new Map<string, readonly string[]>();
  return problems.map((problem) => {
    const { file, line } = problem.position;
    const text = files.find((one) => one.file === file)?.text;
    if (problem.excerpt !== undefined || line === 0 || text === undefined) return problem;
    if (!lines.has(file)) lines.set(file, text.split("\n"));
    const excerpt = lines.get(file)?.[line - 1];
    return excerpt === undefined ? problem : { ...problem, excerpt };
  });
}

export function problemFromApi(problem: ConfigProblem): Problem {
  const { position, path, message, suggestion, excerpt, severity } = problem;
  return {
    severity: severity === 2 ? "warning" : "error",
    position: {
      file: position?.file ?? "",
      line: position?.line ?? 0,
      column: position?.column ?? 0,
    },
    path,
    message,
    ...(suggestion === "" ? {} : { suggestion }),
    ...(excerpt === "" ? {} : { excerpt }),
  };
}
