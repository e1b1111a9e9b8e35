/** What the parts of a resolver work with, and where in an object they are. */
import type { AttributeBag } from "../attribute/bag.ts";
import type { Adapter } from "./adapter.ts";
import type { ExpressionResolver } from "./resolve-expression.ts";
import type { ProblemList, Subject } from "./resolve-problem.ts";
import type { Template } from "./template.ts";

export interface InstanceContext {
  readonly templates: Readonly<Record<string, Template>>;
  readonly expressions: ExpressionResolver;
  /** The same with a generator's output, by template: made once, however many instances. */
  readonly outputs: Map<Template, ExpressionResolver>;
  /** Maps of values by what is written in them: equal ones are made once of an exchange. */
  readonly maps: Map<string, (bag: AttributeBag) => unknown>;
  readonly problems: ProblemList;
}

export interface HandlerContext {
  readonly adapterNamed: (name: string) => Adapter | undefined;
  /** For suggestions. */
  readonly adapterNames: readonly string[];
  readonly problems: ProblemList;
}

/** A handler or an instance: an object of its own, or inside a rule. */
export interface Site {
  /** The object that problems are told of. */
  readonly subject: Subject;
  /** Of the spec within that object: "spec", "spec.actions[0].handler". */
  readonly path: string;
  /** "name.kind.namespace" and "name" of the handler or instance itself. */
  readonly name: string;
  readonly shortName: string;
}
