/**
 * Expression ─▶ tree. The grammar is Go's, left associative, highest first:
 *
 *     * / % << >> & &^   ·   + - | ^   ·   == != < <= > >= in   ·   &&   ·   ||
 *
 * Ours beyond it: `x in [a, b]`. What only Go has is an "unexpected expression".
 */
import type { TypedValue } from "../attribute/value.ts";
import { ExpressionFault, parseFault, type Token, tokensOf } from "./lexer.ts";
import { valueOfLiteral } from "./literal.ts";

export type Node =
  | {
      readonly kind: "constant";
      readonly text: string;
      readonly constant: TypedValue;
      readonly offset: number;
    }
  | { readonly kind: "attribute"; readonly name: string; readonly offset: number }
  | {
      readonly kind: "call";
      readonly name: string;
      readonly target?: Node;
      readonly args: readonly Node[];
      readonly offset: number;
    };

const TEXT_MAX = 65_536;
/** Of parentheses, brackets and unary operators. */
const DEPTH_MAX = 100;
/** And calls, arguments and elements; a chain of as many is as deep a tree. */
const OPERATORS_MAX = 4_000;

const binary: ReadonlyMap<string, readonly [precedence: number, name: string]> = new Map([
  ["||", [1, "LOR"]],
  ["&&", [2, "LAND"]],
  ["==", [3, "EQ"]],
  ["!=", [3, "NEQ"]],
  ["<", [3, "LT"]],
  ["<=", [3, "LEQ"]],
  [">", [3, "GT"]],
  [">=", [3, "GEQ"]],
  ["+", [4, "ADD"]],
  ["-", [4, "SUB"]],
  ["|", [4, "OR"]],
  ["^", [4, "XOR"]],
  ["*", [5, "MUL"]],
  ["/", [5, "QUO"]],
  ["%", [5, "REM"]],
  ["&", [5, "AND"]],
  ["<<", [5, "SHL"]],
  [">>", [5, "SHR"]],
  ["&^", [5, ""]],
]);
const unary: ReadonlyMap<string, string> = new Map([
  ["+", "ADD"],
  ["-", "SUB"],
  ["!", "NOT"],
  ["^", "XOR"],
  ["&", "AND"],
  ["<-", ""],
]);

/** Throws an ExpressionFault. */
export function parseExpression(source: string): Node {
  if (source.length > TEXT_MAX)
    throw new ExpressionFault(`expression of more than ${TEXT_MAX} characters`, 0);
  return new Parser(source).parse();
}

/** `EQ($a, 2)`, `$a.b:startsWith("x")`: how messages show a tree. */
export function formatNode(node: Node): string {
  const parts: string[] = [];
  writeNode(node, parts);
  return parts.join("");
}

function writeNode(node: Node, parts: string[]): void {
  if (node.kind === "constant") return void parts.push(node.text);
  if (node.kind === "attribute") return void parts.push("$", node.name);
  if (node.target !== undefined) {
    writeNode(node.target, parts);
    parts.push(":");
  }
  parts.push(node.name, "(");
  for (const [i, arg] of node.args.entries()) {
    if (i > 0) parts.push(", ");
    writeNode(arg, parts);
  }
  parts.push(")");
}

/** What a selector or a method may follow: a name or chain of names, a call, a literal, (…). */
interface Operand {
  readonly node: Node;
  readonly shape: "names" | "call" | "index" | "literal" | "parentheses";
}

class Parser {
  readonly #source: string;
  readonly #tokens: readonly Token[];
  #at = 0;
  #depth = 0;
  #operators = 0;

  constructor(source: string) {
    this.#source = source;
    this.#tokens = tokensOf(source);
  }

  parse(): Node {
    const node = this.#binary(1);
    if (this.#next.kind === "newline") this.#at++;
    if (this.#next.text === "=" && this.#next.kind === "operator") throw this.#expected("'=='");
    if (this.#next.text === "{" && this.#next.kind === "operator") throw this.#unexpected();
    if (this.#next.kind !== "end") throw this.#expected("'EOF'");
    return node;
  }

  get #next(): Token {
    return this.#tokens[this.#at]!;
  }

  #is(text: string): boolean {
    return this.#next.kind === "operator" && this.#next.text === text;
  }

  #take(text: string): boolean {
    if (!this.#is(text)) return false;
    this.#at++;
    return true;
  }

  #expected(what: string): ExpressionFault {
    const { kind, text, offset } = this.#next;
    const plain = kind === "name" || /^(?:int|float|char|string)$/.test(kind);
    const found = kind === "newline" ? "newline" : plain ? text : `'${text}'`;
    return parseFault(this.#source, offset, `expected ${what}, found ${found}`);
  }

  #unexpected(): ExpressionFault {
    return new ExpressionFault(
      `unexpected expression: ${this.#source.slice(this.#next.offset).slice(0, 64)}`,
      this.#next.offset,
    );
  }

  #deeper<T>(parse: () => T): T {
    if (++this.#depth > DEPTH_MAX)
      throw parseFault(this.#source, this.#next.offset, `nested deeper than ${DEPTH_MAX}`);
    const result = parse();
    this.#depth--;
    return result;
  }

  #count(): void {
    if (++this.#operators > OPERATORS_MAX)
      throw parseFault(this.#source, this.#next.offset, `more than ${OPERATORS_MAX} operators`);
  }

  #binary(least: number): Node {
    let left = this.#unary();
    for (;;) {
      const { kind, text, offset } = this.#next;
      if (kind === "name" && text === "in" && least <= 3) {
        this.#at++;
        this.#count();
        left = { kind: "call", name: "IN", args: [left, ...this.#list()], offset };
        continue;
      }
      const operator = kind === "operator" ? binary.get(text) : undefined;
      if (operator === undefined || operator[0] < least) return left;
      this.#at++;
      this.#count();
      const right = this.#binary(operator[0] + 1);
      left = { kind: "call", name: operator[1], args: [left, right], offset };
    }
  }

  #list(): readonly Node[] {
    if (!this.#take("[")) throw this.#expected("'['");
    return this.#arguments("]");
  }

  #unary(): Node {
    const { kind, text, offset } = this.#next;
    if (kind === "operator" && text === "*") throw this.#unexpected();
    const name = kind === "operator" ? unary.get(text) : undefined;
    if (name === undefined) return this.#primary();
    this.#at++;
    return this.#deeper(() => ({ kind: "call", name, args: [this.#unary()], offset }));
  }

  #primary(): Node {
    let operand = this.#operand();
    for (;;) {
      const { offset } = this.#next;
      if (this.#take("(")) {
        if (operand.shape !== "names" || operand.node.kind !== "attribute")
          throw this.#unexpected();
        operand = { node: this.#callOf(operand.node), shape: "call" };
      } else if (this.#take("[")) {
        const index = this.#deeper(() => this.#binary(1));
        if (!this.#take("]"))
          throw this.#is(":") || this.#is(",") ? this.#unexpected() : this.#expected("']'");
        this.#count();
        const args = [operand.node, index];
        operand = { node: { kind: "call", name: "INDEX", args, offset }, shape: "index" };
      } else if (this.#take(".")) operand = this.#selector(operand);
      else if (this.#is("{")) throw this.#unexpected();
      else return operand.node;
    }
  }

  #selector(operand: Operand): Operand {
    const { kind, text, offset } = this.#next;
    if (kind !== "name") throw this.#expected("selector or type assertion");
    this.#at++;
    if (operand.shape === "names" && operand.node.kind === "attribute") {
      const { name } = operand.node;
      if (!this.#take("("))
        return { ...operand, node: { ...operand.node, name: `${name}.${text}` } };
    } else if (operand.shape === "index" || !this.#take("(")) throw this.#unexpected();
    this.#count();
    const target = booleanOf(operand.node) ?? operand.node;
    const args = this.#arguments(")");
    return { node: { kind: "call", name: text, target, args, offset }, shape: "call" };
  }

  #callOf(name: { readonly name: string; readonly offset: number }): Node {
    this.#count();
    return { kind: "call", name: name.name, args: this.#arguments(")"), offset: name.offset };
  }

  #arguments(close: string): readonly Node[] {
    return this.#deeper(() => {
      const args: Node[] = [];
      while (!this.#take(close)) {
        this.#count();
        args.push(this.#binary(1));
        if (!this.#take(",") && !this.#is(close))
          throw this.#is("...") ? this.#unexpected() : this.#expected(`'${close}'`);
      }
      return args;
    });
  }

  #operand(): Operand {
    const token = this.#next;
    const { kind, text, offset } = token;
    this.#at++;
    if (kind === "name") {
      const node: Node = { kind: "attribute", name: text, offset };
      const more = this.#is(".") || this.#is("(");
      return { node: more ? node : (booleanOf(node) ?? node), shape: "names" };
    }
    if (kind === "int" || kind === "float" || kind === "char" || kind === "string") {
      const constant = valueOfLiteral(token);
      return { node: { kind: "constant", text, constant, offset }, shape: "literal" };
    }
    if (kind === "operator" && text === "(") {
      const node = this.#deeper(() => this.#binary(1));
      if (!this.#take(")")) throw this.#expected("')'");
      return { node, shape: "parentheses" };
    }
    this.#at--;
    if (kind === "keyword" && /^(?:func|map|struct|interface|chan)$/.test(text))
      throw this.#unexpected();
    throw this.#expected("operand");
  }
}

/** true and false in any letters' case. */
function booleanOf(node: Node): Node | undefined {
  if (node.kind !== "attribute" || !/^(?:true|false)$/i.test(node.name)) return undefined;
  const text = node.name.toLowerCase();
  const constant: TypedValue = { type: "BOOL", value: text === "true" };
  return { kind: "constant", text, constant, offset: node.offset };
}
