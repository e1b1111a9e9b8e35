/**
 * Names of handlers and instances, and what a rule may call them:
 *
 *     name · name.kind · name.namespace · name.kind.namespace
 *
 * A bare name is one of the kinds "handler" and "instance", in the rule's own namespace; those of
 * an adapter's or a template's own kind are called with it. Spec: mixer 3.1.
 */
import type { Reference } from "../model/policy-rule.ts";
import type { Declared } from "../model/policy-set.ts";
import type { ProblemList, Subject } from "./resolve-problem.ts";

type Kind = "handler" | "instance";

/** Full names that a reference may stand for; the first that is there is meant. */
export function fullNames(reference: string, kind: string, namespace: string): readonly string[] {
  const [name = "", other = "", ...more] = reference.split(".", 3);
  if (more.length > 0) return [reference];
  if (!reference.includes(".")) return [`${name}.${kind}.${namespace}`];
  return [`${name}.${other}.${namespace}`, `${name}.${kind}.${other}`];
}

const broken = "it is declared, but has problems of its own";

/** All of one kind, by full name. What is broken has its name too: it is no misspelling. */
export class NameTable<T> {
  readonly #kind: Kind;
  readonly #problems: ProblemList;
  readonly #byName = new Map<string, T | undefined>();
  readonly #byShortName = new Map<string, string[]>();

  constructor(kind: Kind, problems: ProblemList) {
    this.#kind = kind;
    this.#problems = problems;
  }

  /** `value`: undefined if it is broken. */
  add(name: string, shortName: string, value: T | undefined): void {
    this.#byName.set(name, value);
    const alike = this.#byShortName.get(shortName);
    if (alike === undefined) this.#byShortName.set(shortName, [name]);
    else alike.push(name);
  }

  /** Undefined after it has reported why. */
  follow(reference: Reference, rule: Subject, path: string): T | undefined {
    const names = fullNames(reference.name, this.#kind, rule.namespace);
    for (const name of names) {
      const found = this.#byName.get(name);
      if (found !== undefined) return found;
    }
    this.#tell(reference, { rule, path }, this.#suggestion(reference.name, names));
    return undefined;
  }

  /** Of what was found, and turned out to be broken later. */
  tellBroken(reference: Reference, rule: Subject, path: string): void {
    this.#tell(reference, { rule, path }, broken);
  }

  #tell(
    { name, at }: Reference,
    { rule, path }: { readonly rule: Subject; readonly path: string },
    suggestion: string | undefined,
  ): void {
    const title = this.#kind === "handler" ? "Handler" : "Instance";
    const message = `${title} not found: ${this.#kind}='${name}'`;
    const about = suggestion === broken ? "consequence" : "reference";
    this.#problems.error(rule, path, { at, message, suggestion, about });
  }

  #suggestion(reference: string, names: readonly string[]): string | undefined {
    if (names.some((name) => this.#byName.has(name))) return broken;
    const [short = ""] = reference.split(".", 1);
    const elsewhere = this.#byShortName.get(short)?.[0];
    if (elsewhere !== undefined) return `did you mean ${elsewhere}?`;
    const near = this.#problems.nearest(short, this.#byShortName.keys());
    return near === undefined ? undefined : `did you mean ${this.#byShortName.get(near)![0]}?`;
  }
}

/** The first of each full name counts; a later one is told where that is. */
export function withoutDuplicates<Spec>(
  all: readonly Declared<Spec>[],
  subjectOf: (one: Declared<Spec>) => Subject,
  problems: ProblemList,
): readonly (readonly [Declared<Spec>, Subject])[] {
  const first = new Map<string, readonly [Declared<Spec>, Subject]>();
  for (const one of all) {
    const subject = subjectOf(one);
    const known = first.get(subject.name);
    if (known === undefined) first.set(subject.name, [one, subject]);
    else {
      const { file, line } = known[1].origin;
      const message = `${subject.name} is also at ${file}:${line}`;
      problems.error(subject, "metadata.name", { message });
    }
  }
  return [...first.values()];
}
