/** Expressions of policy ─▶ functions; what is wrong with one is told where its author erred. */
import type { Fault } from "../attribute/fault.ts";
import type { Value, ValueType } from "../attribute/value.ts";
import type { Vocabulary } from "../attribute/vocabulary.ts";
import type { Position } from "../core/problem.ts";
import {
  type Compiled,
  compileExpression,
  type Expression,
  type ExpressionProblem,
} from "../expression/expression.ts";
import type { ExpressionText } from "../model/instance.ts";
import type { ProblemList, Subject } from "./resolve-problem.ts";

/** What a constant expression gives, now and always. */
export function constantOf(expression: Expression): Value | Fault | undefined {
  return expression.reads.size > 0 ? undefined : expression.evaluate({ read: () => undefined });
}

export class ExpressionResolver {
  readonly vocabulary: Vocabulary;
  readonly #problems: ProblemList;
  /** Many rules say the same. */
  readonly #compiled = new Map<string, Compiled>();

  constructor(vocabulary: Vocabulary, problems: ProblemList) {
    this.vocabulary = vocabulary;
    this.#problems = problems;
  }

  /** Undefined after it has reported why. `wants`: for hints only. */
  compile(
    text: ExpressionText,
    place: { readonly subject: Subject; readonly path: string },
    wants?: ValueType,
  ): Expression | undefined {
    let compiled = this.#compiled.get(text.source);
    if (compiled === undefined) {
      compiled = compileExpression(text.source, this.vocabulary);
      this.#compiled.set(text.source, compiled);
    }
    if (compiled.ok) return compiled.expression;
    const { message, offset } = compiled.problem;
    this.#problems.error(place.subject, place.path, {
      at: positionWithin(text, offset),
      message,
      suggestion: this.#hint(text.source, compiled.problem, wants),
    });
    return undefined;
  }

  /** The most frequent slip: a text without quotation marks of its own. */
  #hint(
    source: string,
    { message, offset }: ExpressionProblem,
    wants: ValueType | undefined,
  ): string | undefined {
    const whole = source.trim();
    const mayBeText = wants === undefined || wants === "STRING";
    const unknown = /^unknown attribute (\S{1,200})$/.exec(message)?.[1];
    if (unknown === undefined) {
      if (mayBeText && isPlainWords(whole)) return quotedHint(whole);
      return hintAt(source.slice(offset, offset + 200)) ?? durationHint(message);
    }
    if (unknown.startsWith("$out.")) return this.#outputHint(unknown);
    const names = attributeNames(this.vocabulary);
    const near = unknown.includes(".") ? this.#problems.nearest(unknown, names) : undefined;
    if (near !== undefined) return `did you mean ${near}?`;
    if (whole !== unknown) return `write "${unknown}" if it is a text`;
    return mayBeText ? quotedHint(unknown) : undefined;
  }

  #outputHint(name: string): string | undefined {
    const outputs = this.vocabulary.attributes
      .map((attribute) => attribute.name)
      .filter((one) => one.startsWith("$out."));
    if (outputs.length === 0) return "only attributeBindings of a generator have an output";
    return this.#problems.didYouMean(name, outputs);
  }
}

/** For suggestions, which may be enough before all of them. */
export function* attributeNames({ attributes }: Vocabulary): Iterable<string> {
  for (const { name } of attributes) yield name;
}

export function otherType(source: string, type: ValueType, wanted: string): string {
  return `expression '${source}' evaluated to type ${type}, expected ${wanted}`;
}

function isPlainWords(source: string): boolean {
  return source.length <= 200 && /^[^"'`()|&=<>[\]+!,]+$/.test(source);
}

/** What stands where the parser gave up. */
function hintAt(rest: string): string | undefined {
  const path = /^\/[\w./*-]*/.exec(rest)?.[0];
  if (path !== undefined) return `write "${path}" if it is a text`;
  const single = /^'([^'"\n]*)'/.exec(rest)?.[1];
  return single === undefined ? undefined : `write "${single}": texts have double quotation marks`;
}

function durationHint(message: string): string | undefined {
  const isMixed = /got DURATION, expected STRING$|got STRING, expected DURATION$/.test(message);
  return isMixed ? 'a text that reads as a duration is one, as "5m" and "0"' : undefined;
}

function quotedHint(words: string): string {
  return `write '"${words}"' if it is a text`;
}

/**
 * Of what stands `offset` code units after the beginning of a text, whose lines are a block and
 * whose position is that of its first line that is not blank.
 */
export function positionWithin({ source, at }: ExpressionText, offset: number): Position {
  if (at.line === 0 || at.column === 0) return at;
  const [blank] = /^\n*/.exec(source)!;
  const before = source.slice(blank.length, offset);
  const start = before.lastIndexOf("\n") + 1;
  if (start === 0) return { ...at, column: at.column + before.length };
  const lines = before.split("\n").length - 1;
  return { ...at, line: at.line + lines, column: at.column + before.length - start };
}
