/**
 * What a resolver has against policy: a list that grows while it works, each entry with the object
 * it stands in. Bounded, however much is wrong, and so is the search for what was meant.
 */
import type { Position, Problem } from "../core/problem.ts";
import { nearest } from "../core/suggestion.ts";
import type { Declared } from "../model/policy-set.ts";

export interface PolicyProblem extends Problem {
  /** "name.kind.namespace" of the object that it stands in. */
  readonly object: string;
  readonly about: ProblemSubject;
}

/**
 * What is wrong: the object itself; a name in it that nothing here has; or only that something else
 * is wrong, which is told elsewhere.
 */
export type ProblemSubject = "itself" | "reference" | "consequence";

/** An object while it is judged: its full name, and where it stands. */
export interface Subject {
  readonly name: string;
  readonly namespace: string;
  readonly origin: Position;
}

export function subjectOf({ name, namespace, origin }: Declared<unknown>, kind: string): Subject {
  return { name: `${name}.${kind}.${namespace}`, namespace, origin };
}

const problemsMax = 10_000;
/** Of words that are not known with words that are: each costs some microseconds. */
const comparisonsMax = 2_000;
const messageMax = 1_000;

export class ProblemList {
  readonly #problems: PolicyProblem[] = [];
  #comparisons = comparisonsMax;

  error(subject: Subject, path: string, wrong: Wrong): void {
    this.#add("error", subject, path, wrong);
  }

  warn(subject: Subject, path: string, wrong: Wrong): void {
    this.#add("warning", subject, path, wrong);
  }

  /** The known word that was meant, if one is near; undefined also where too many were sought. */
  nearest(word: string, known: Iterable<string>): string | undefined {
    return nearest(word, this.#few(known));
  }

  didYouMean(word: string, known: Iterable<string>): string | undefined {
    const found = this.nearest(word, known);
    return found === undefined ? undefined : `did you mean ${found}?`;
  }

  *#few(words: Iterable<string>): Iterable<string> {
    for (const word of words) {
      if (this.#comparisons === 0) return;
      this.#comparisons--;
      yield word;
    }
  }

  /** In the order of files and lines. */
  sorted(): readonly PolicyProblem[] {
    return this.#problems.toSorted(
      ({ position: a }, { position: b }) =>
        byText(a.file, b.file) || a.line - b.line || a.column - b.column,
    );
  }

  #add(severity: Problem["severity"], subject: Subject, path: string, wrong: Wrong): void {
    if (this.#problems.length >= problemsMax) return;
    const { at = subject.origin, message, suggestion, about = "itself" } = wrong;
    this.#problems.push({
      severity,
      position: at,
      path,
      message: message.length > messageMax ? `${message.slice(0, messageMax)}…` : message,
      ...(suggestion === undefined ? {} : { suggestion }),
      object: subject.name,
      about,
    });
  }
}

interface Wrong {
  /** Undefined: the object. */
  readonly at?: Position | undefined;
  readonly message: string;
  readonly suggestion?: string | undefined;
  readonly about?: ProblemSubject;
}

/** The order of code units, the same everywhere. */
export function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** An entry of a map whose keys the author chose. */
export function entryPath(path: string, key: string): string {
  return /^[A-Za-z_][\w-]*$/.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`;
}

export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
