/**
 * Collects what is wrong with a configuration while it is compiled, each with the place that an
 * operator wrote, where the configuration tells it.
 */
import type { SourcePosition } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import type { Position, Problem } from "../../core/problem.ts";

export class ProblemList {
  readonly problems: Problem[] = [];
  readonly #position: Position;
  readonly #path: string;

  constructor(position: Position, path: string, problems: Problem[] = []) {
    this.#position = position;
    this.#path = path;
    this.problems = problems;
  }

  /** For a part of this one; it reports to the same list. */
  at(path: string, origin?: SourcePosition): ProblemList {
    const position = origin === undefined || origin.file === "" ? this.#position : origin;
    const whole = this.#path === "" ? path : `${this.#path}.${path}`;
    return new ProblemList(position, whole, this.problems);
  }

  add(message: string): void {
    const { file, line, column } = this.#position;
    const position = { file, line, column };
    this.problems.push({ severity: "error", position, path: this.#path, message });
  }
}

/** "RouteRule/default/canary (rules/a.yaml:3)"; empty if it is not known. */
export function formatOrigin(origin: SourcePosition | undefined): string {
  if (origin === undefined) return "";
  const place = origin.line === 0 ? origin.file : `${origin.file}:${origin.line}`;
  if (place === "") return origin.object;
  return origin.object === "" ? place : `${origin.object} (${place})`;
}
