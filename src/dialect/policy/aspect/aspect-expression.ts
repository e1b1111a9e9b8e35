/**
 * Expressions of Istio 0.1 ─▶ those of today. Attributes of the called side had other names, and
 * `==` with a text took a "*" at its end or beginning for any text. Spec table: mixer 3.5.
 */
import { ExpressionFault } from "../../../expression/lexer.ts";
import { type Node, parseExpression } from "../../../expression/parser.ts";
import type { ExpressionText } from "../../../model/instance.ts";

const names: ReadonlyMap<string, string> = new Map([
  ["target.service", "destination.service.host"],
  ["response.http.code", "response.code"],
  ["response.latency", "response.duration"],
]);

/** "destination.ip" of "target.ip". */
export function attributeToday(name: string): string {
  return names.get(name) ?? name.replace(/^target\./, "destination.");
}

/** What cannot be parsed stays as it is: whoever compiles it says why. */
export function expressionToday({ source, at }: ExpressionText): ExpressionText {
  try {
    return { source: write(parseExpression(source)), at };
  } catch (cause) {
    if (!(cause instanceof ExpressionFault)) throw cause;
    return { source, at };
  }
}

const operators: ReadonlyMap<string, string> = new Map([
  ["LOR", "||"],
  ["LAND", "&&"],
  ["EQ", "=="],
  ["NEQ", "!="],
  ["LT", "<"],
  ["LEQ", "<="],
  ["GT", ">"],
  ["GEQ", ">="],
  ["OR", "|"],
  ["ADD", "+"],
]);

/** With parentheses around every operator, so that precedence is said and not remembered. */
function write(node: Node): string {
  if (node.kind === "constant") return node.text;
  if (node.kind === "attribute") return attributeToday(node.name);
  const { name, target, args } = node;
  const [left, right] = args;
  const operator = operators.get(name);
  if (target === undefined && left !== undefined && right !== undefined && args.length === 2) {
    if (name === "INDEX") return `${write(left)}[${write(right)}]`;
    const pattern = patternIn(left, right);
    if (pattern !== undefined && name === "EQ") return pattern;
    if (pattern !== undefined && name === "NEQ") return `(${pattern} == false)`;
    if (operator !== undefined) return `(${write(left)} ${operator} ${write(right)})`;
  }
  const call = `${name}(${args.map(write).join(", ")})`;
  return target === undefined ? call : `(${write(target)}).${call}`;
}

/** "match(a, "x*")" of a comparison with "x*" or "*x". */
function patternIn(left: Node, right: Node): string | undefined {
  for (const [pattern, other] of [
    [right, left],
    [left, right],
  ] as const)
    if (pattern.kind === "constant" && pattern.constant.type === "STRING") {
      const { value } = pattern.constant;
      if (value.endsWith("*") || value.startsWith("*"))
        return `match(${write(other)}, ${pattern.text})`;
    }
  return undefined;
}
