/**
 * Tree ─▶ the same with types, each derived once, by the words that operators of Istio know. Both
 * sides of an operator have equal types; none is coerced.
 */
import type { Value, ValueType } from "../attribute/value.ts";
import type { Attribute, Vocabulary } from "../attribute/vocabulary.ts";
import { ExpressionFault } from "./lexer.ts";
import { formatNode, type Node } from "./parser.ts";
import { standardFunctions } from "./standard-function.ts";

interface Signature {
  readonly target?: ValueType;
  readonly args: readonly (ValueType | "T")[];
  readonly returns: ValueType | "T";
}

const comparison: Signature = { args: ["T", "T"], returns: "BOOL" };
const logical: Signature = { args: ["BOOL", "BOOL"], returns: "BOOL" };
const sameType: Signature = { args: ["T", "T"], returns: "T" };
const operators: ReadonlyMap<string, Signature> = new Map<string, Signature>([
  ["EQ", comparison],
  ["NEQ", comparison],
  ["LT", comparison],
  ["LEQ", comparison],
  ["GT", comparison],
  ["GEQ", comparison],
  ["LAND", logical],
  ["LOR", logical],
  ["OR", sameType],
  ["ADD", sameType],
  ["INDEX", { args: ["STRING_MAP", "STRING"], returns: "STRING" }],
  ["conditional", { args: ["BOOL", "T", "T"], returns: "T" }],
  // Ours.
  ["NOT", { args: ["BOOL"], returns: "BOOL" }],
]);

type Call = Extract<Node, { kind: "call" }>;

/** A node and its type; `isConstant`: no attribute is below it. */
export type TypedNode =
  | {
      readonly kind: "constant";
      readonly type: ValueType;
      readonly isConstant: true;
      readonly value: Value;
    }
  | {
      readonly kind: "attribute";
      readonly type: ValueType;
      readonly isConstant: false;
      readonly attribute: Attribute;
    }
  | TypedCall;

export interface TypedCall {
  readonly kind: "call";
  readonly type: ValueType;
  readonly isConstant: boolean;
  readonly name: string;
  readonly target: TypedNode | undefined;
  readonly args: readonly TypedNode[];
  readonly offset: number;
}

/** Derives the type of each node once. Throws an ExpressionFault at the part that is wrong. */
export function typed(node: Node, vocabulary: Vocabulary): TypedNode {
  if (node.kind === "constant")
    return { kind: "constant", isConstant: true, ...node.constant } as const;
  if (node.kind === "call") return typedCall(node, vocabulary);
  const attribute = vocabulary.find(node.name);
  if (attribute === undefined)
    throw new ExpressionFault(`unknown attribute ${node.name}`, node.offset);
  return { kind: "attribute", type: attribute.type, isConstant: false, attribute };
}

function typedCall(node: Call, vocabulary: Vocabulary): TypedCall {
  const { name, offset } = node;
  const signature = signatureOf(node);
  if (signature === undefined) throw new ExpressionFault(`unknown function: ${name}`, offset);
  const target = typedTarget(node, signature, vocabulary);
  if (signature.args.length !== node.args.length)
    throw new ExpressionFault(
      `${formatNode(node)} arity mismatch. Got ${node.args.length} arg(s), ` +
        `expected ${signature.args.length} arg(s)`,
      offset,
    );
  let any: ValueType | undefined;
  let isConstant = target === undefined || target.isConstant;
  const args = node.args.map((part, i) => {
    const wanted = signature.args[i]!;
    const arg = typed(part, vocabulary);
    const expected = wanted === "T" ? (any ?? arg.type) : wanted;
    if (wanted === "T") any ??= arg.type;
    if (arg.type !== expected)
      throw new ExpressionFault(
        `${formatNode(node)} arg ${i + 1} (${formatNode(part)}) typeError ` +
          `got ${arg.type}, expected ${expected}`,
        startOf(part),
      );
    isConstant &&= arg.isConstant;
    return arg;
  });
  const type = signature.returns === "T" ? any! : signature.returns;
  return { kind: "call", type, isConstant, name, target, args, offset };
}

function typedTarget(
  node: Call,
  signature: Signature,
  vocabulary: Vocabulary,
): TypedNode | undefined {
  const { name, target, offset } = node;
  if (target === undefined) {
    if (signature.target === undefined) return undefined;
    throw new ExpressionFault(`invoking instance method without an instance: ${name}`, offset);
  }
  const found = typed(target, vocabulary);
  if (signature.target === undefined)
    throw new ExpressionFault(`invoking regular function on instance method: ${name}`, offset);
  if (signature.target !== found.type)
    throw new ExpressionFault(
      `${formatNode(node)} target typeError got ${found.type}, expected ${signature.target}`,
      startOf(target),
    );
  return found;
}

/** Where the text of a part begins: before its operator, if it is one of two sides. */
function startOf(node: Node): number {
  let start = node.offset;
  for (let at: Node | undefined = node; at !== undefined; ) {
    start = Math.min(start, at.offset);
    at = at.kind === "call" ? (at.target ?? at.args[0]) : undefined;
  }
  return start;
}

function signatureOf({ name, args }: Call): Signature | undefined {
  if (name === "IN") return { args: args.map(() => "T" as const), returns: "BOOL" };
  if (name === "SUB" && args.length === 1) return { args: ["T"], returns: "T" };
  return operators.get(name) ?? standardFunctions.get(name);
}
