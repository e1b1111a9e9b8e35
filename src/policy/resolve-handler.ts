/**
 * Handlers: an adapter with its parameters, read once it is known which instances rules hand to it,
 * since adapters have something to say about those. What is wrong with parameters is said where
 * their author wrote them.
 */
import type { Position, Problem } from "../core/problem.ts";
import type { Handler, Parameters } from "../model/handler.ts";
import type { Adapter, BoundInstance } from "./adapter.ts";
import { readParameters } from "./read-parameters.ts";
import type { HandlerContext, Site } from "./resolve-context.ts";
import type { UsableInstance } from "./resolve-instance.ts";
import type { ProblemList, Subject } from "./resolve-problem.ts";
import type { ResolvedHandler } from "./resolved-policy.ts";

/** A handler whose adapter exists, while rules bind instances to it. */
export class BindableHandler {
  /** "name.kind.namespace" */
  readonly name: string;
  readonly adapter: Adapter;
  readonly #handler: Handler;
  readonly #subject: Subject;
  readonly #path: string;
  readonly #bound = new Map<string, BoundInstance>();

  constructor(handler: Handler, adapter: Adapter, site: Site) {
    this.name = site.name;
    this.adapter = adapter;
    this.#handler = handler;
    this.#subject = site.subject;
    this.#path = handler.writtenKind === "handler" ? `${site.path}.params` : site.path;
  }

  get isBound(): boolean {
    return this.#bound.size > 0;
  }

  bind({ name, template, dimensions }: UsableInstance): void {
    this.#bound.set(name, { name, template, ...(dimensions && { dimensions }) });
  }

  /** Undefined after it has reported why. */
  configure(problems: ProblemList): ResolvedHandler | undefined {
    const { parameters, failPolicy, connection } = this.#handler;
    const bound = [...this.#bound.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    const read = readParameters(this.adapter, parameters.json, { bound, connection });
    for (const problem of read.problems) this.#report(problem, problems);
    if (read.configured === undefined) return undefined;
    return {
      name: this.name,
      adapter: this.adapter.name,
      configured: read.configured,
      signature: JSON.stringify([this.adapter.name, parameters.json, connection ?? null, bound]),
      failPolicy,
      ...timeLimit(this.#handler),
    };
  }

  #report({ severity, path, message, suggestion }: Problem, problems: ProblemList): void {
    const wrong = { at: this.#positionOf(path), message, suggestion };
    const whole = path === "" || path.startsWith("[") ? this.#path + path : `${this.#path}.${path}`;
    if (severity === "error") problems.error(this.#subject, whole, wrong);
    else problems.warn(this.#subject, whole, wrong);
  }

  #positionOf(path: string): Position {
    const { parameters, adapterAt } = this.#handler;
    return positionOfParameter(parameters, path) ?? adapterAt;
  }
}

/** Undefined after it has reported why. */
export function resolveHandler(
  handler: Handler,
  site: Site,
  { adapterNamed, adapterNames, problems }: HandlerContext,
): BindableHandler | undefined {
  const adapter = adapterNamed(handler.adapter);
  if (adapter !== undefined) return new BindableHandler(handler, adapter, site);
  problems.error(site.subject, `${site.path}.adapter`, {
    at: handler.adapterAt,
    message: `adapter '${handler.adapter}' not found`,
    suggestion: problems.didYouMean(handler.adapter, adapterNames),
  });
  return undefined;
}

/** A limit of its own, or that of its connection. */
function timeLimit({ timeoutMs, connection }: Handler): Pick<ResolvedHandler, "timeoutMs"> {
  if (timeoutMs !== undefined) return { timeoutMs };
  return connection === undefined || connection.timeoutMs === 0
    ? {}
    : { timeoutMs: connection.timeoutMs };
}

/** Of the parameter at `path`, or else of the nearest that it is part of. */
function positionOfParameter({ positions }: Parameters, path: string): Position | undefined {
  for (let part = path; ; part = parentOf(part)) {
    if (Object.hasOwn(positions, part)) return positions[part];
    if (part === "") return undefined;
  }
}

function parentOf(path: string): string {
  return path.replace(/(?:\.?[^.[\]]*|\[\d+\]|\["(?:[^"\\]|\\.)*"\])$/, "");
}
