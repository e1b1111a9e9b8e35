/**
 * An expression of the policy language, from its text to a function of an exchange's attributes.
 *
 *     text ─▶ lexer ─▶ parser ─▶ check ─▶ compile ─▶ evaluate(bag): value, or a Fault
 */
import type { AttributeBag } from "../attribute/bag.ts";
import { Fault } from "../attribute/fault.ts";
import type { TypedValue, Value, ValueType } from "../attribute/value.ts";
import type { Vocabulary } from "../attribute/vocabulary.ts";
import { typed } from "./check.ts";
import { Compiler, type Run } from "./compile.ts";
import { ExpressionFault } from "./lexer.ts";
import { formatNode, type Node, parseExpression } from "./parser.ts";

export interface Expression {
  readonly source: string;
  readonly type: ValueType;
  /** `EQ($a, 2)` */
  readonly canonical: string;
  /** Slots that it may read. */
  readonly reads: ReadonlySet<number>;
  /** `attribute == literal` pairs, all of which must hold: what a rule can be indexed by. */
  readonly pairs: ReadonlyMap<string, TypedValue>;
  evaluate(bag: AttributeBag): Value | Fault;
}

/** What is wrong with the text, and where in it (UTF-16 units). */
export interface ExpressionProblem {
  readonly message: string;
  readonly offset: number;
}

export type Compiled =
  | { readonly ok: true; readonly expression: Expression }
  | { readonly ok: false; readonly problem: ExpressionProblem };

export function compileExpression(source: string, vocabulary: Vocabulary): Compiled {
  try {
    const node = parseExpression(source);
    const tree = typed(node, vocabulary);
    const compiler = new Compiler();
    const run: Run = compiler.compile(tree, false);
    const expression: Expression = {
      source,
      type: tree.type,
      canonical: formatNode(node),
      reads: compiler.slots,
      pairs: pairsOf(node),
      evaluate: (bag) => run(bag) ?? absent,
    };
    return { ok: true, expression };
  } catch (error) {
    if (!(error instanceof ExpressionFault)) throw error;
    return { ok: false, problem: { message: error.message, offset: error.offset } };
  }
}

const absent = new Fault("no value");

/** Of a tree that is a chain of `&&`, the parts that compare an attribute to a literal. */
export function pairsOf(
  node: Node,
  found = new Map<string, TypedValue>(),
): Map<string, TypedValue> {
  if (node.kind !== "call" || node.args.length !== 2) return found;
  const [a, b] = node.args;
  if (node.name === "LAND") {
    pairsOf(a!, found);
    pairsOf(b!, found);
  } else if (node.name === "EQ") {
    if (a!.kind === "attribute" && b!.kind === "constant") found.set(a!.name, b!.constant);
    if (b!.kind === "attribute" && a!.kind === "constant") found.set(b!.name, a!.constant);
  }
  return found;
}
