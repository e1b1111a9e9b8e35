/** Types of a tree, by the words that operators of Istio know. Both sides equal, none coerced. */
import type { ValueType } from "../attribute/value.ts";
import type { Vocabulary } from "../attribute/vocabulary.ts";
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

/** Throws an ExpressionFault. */
export function typeOf(node: Node, vocabulary: Vocabulary): ValueType {
  if (node.kind === "constant") return node.constant.type;
  if (node.kind === "call") return typeOfCall(node, vocabulary);
  const attribute = vocabulary.find(node.name);
  if (attribute === undefined)
    throw new ExpressionFault(`unknown attribute ${node.name}`, node.offset);
  return attribute.type;
}

function typeOfCall(node: Call, vocabulary: Vocabulary): ValueType {
  const { name, target, args, offset } = node;
  const signature = signatureOf(node);
  if (signature === undefined) throw new ExpressionFault(`unknown function: ${name}`, offset);
  if (target !== undefined) {
    const type = typeOf(target, vocabulary);
    if (signature.target === undefined)
      throw new ExpressionFault(`invoking regular function on instance method: ${name}`, offset);
    if (signature.target !== type)
      throw new ExpressionFault(
        `${formatNode(node)} target typeError got ${type}, expected ${signature.target}`,
        target.offset,
      );
  } else if (signature.target !== undefined)
    throw new ExpressionFault(`invoking instance method without an instance: ${name}`, offset);
  if (signature.args.length !== args.length)
    throw new ExpressionFault(
      `${formatNode(node)} arity mismatch. Got ${args.length} arg(s), ` +
        `expected ${signature.args.length} arg(s)`,
      offset,
    );
  let any: ValueType | undefined;
  for (const [i, arg] of args.entries()) {
    const wanted = signature.args[i]!;
    const type = typeOf(arg, vocabulary);
    const expected = wanted === "T" ? (any ?? type) : wanted;
    if (wanted === "T") any ??= type;
    if (type !== expected)
      throw new ExpressionFault(
        `${formatNode(node)} arg ${i + 1} (${formatNode(arg)}) typeError ` +
          `got ${type}, expected ${expected}`,
        arg.offset,
      );
  }
  return signature.returns === "T" ? any! : signature.returns;
}

function signatureOf({ name, args }: Call): Signature | undefined {
  if (name === "IN") return { args: args.map(() => "T" as const), returns: "BOOL" };
  if (name === "SUB" && args.length === 1) return { args: ["T"], returns: "T" };
  return operators.get(name) ?? standardFunctions.get(name);
}
