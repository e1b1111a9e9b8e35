/**
 * Text of an expression ─▶ tokens, as Go has them. A newline after what may end an operand is a
 * token of its own: it ends the expression. Linear: every character is looked at once.
 */
import { byteLength } from "../attribute/byte-text.ts";

export interface Token {
  readonly kind:
    | "name"
    | "keyword"
    | "int"
    | "float"
    | "char"
    | "string"
    | "operator"
    | "newline"
    | "end";
  readonly text: string;
  /** In UTF-16 units from the beginning of the expression. */
  readonly offset: number;
}

/** Thrown while text becomes a function, caught where it was begun; never while one runs. */
export class ExpressionFault extends Error {
  constructor(
    message: string,
    readonly offset: number,
  ) {
    super(message);
  }
}

const keywords = new Set(
  (
    "break case chan const continue default defer else fallthrough for func go goto if import " +
    "interface map package range return select struct switch type var"
  ).split(" "),
);

const pattern = new RegExp(
  [
    "(?<space>[ \\t\\r]+|//[^\\n]*|/\\*[\\s\\S]*?\\*/)",
    "(?<newline>\\n)",
    // `$out.x`: what a generator gave. Elsewhere no vocabulary has such a name.
    "(?<name>[\\p{L}_][\\p{L}\\p{Nd}_]*|\\$out(?=\\.))",
    "(?<float>(?:\\d+\\.\\d*|\\.\\d+)(?:[eE][+-]?\\d+)?|\\d+[eE][+-]?\\d+)",
    "(?<int>0[xXoObB][\\da-fA-F_]+|\\d[\\d_]*)",
    '(?<string>"(?:[^"\\\\\\n]|\\\\[^\\n])*"|`[^`]*`)',
    "(?<char>'(?:[^'\\\\\\n]|\\\\[xuUabfnrtv\\\\'0-7][\\da-fA-F]*)')",
    "(?<operator>(?!/\\*)(?:&\\^=?|<<=?|>>=?|&&|\\|\\||<-|\\+\\+|--|:=|\\.\\.\\." +
      "|[-+*/%&|^=!<>]=|[-+*/%&|^=!<>()[\\]{},;.:]))",
  ].join("|"),
  "yu",
);

/** "unable to parse expression 'a = 2': 1:3: expected '==', found '='". */
export function parseFault(source: string, offset: number, what: string): ExpressionFault {
  const before = source.slice(0, offset);
  const line = before.split("\n").length;
  const column = byteLength(before.slice(before.lastIndexOf("\n") + 1)) + 1;
  return new ExpressionFault(
    `unable to parse expression '${source}': ${line}:${column}: ${what}`,
    offset,
  );
}

export function tokensOf(source: string): Token[] {
  const tokens: Token[] = [];
  for (let offset = 0; offset < source.length; ) {
    pattern.lastIndex = offset;
    const groups = pattern.exec(source)?.groups;
    if (groups === undefined) throw parseFault(source, offset, illegalAt(source, offset));
    const kind = Object.keys(groups).find((name) => groups[name] !== undefined)!;
    const text = groups[kind]!;
    if (kind === "newline" && endsOperand(tokens.at(-1))) tokens.push({ kind, text, offset });
    else if (kind !== "space" && kind !== "newline")
      tokens.push({
        kind: (kind === "name" && keywords.has(text) ? "keyword" : kind) as Token["kind"],
        text,
        offset,
      });
    offset += text.length;
  }
  tokens.push({ kind: "end", text: "EOF", offset: source.length });
  return tokens;
}

function endsOperand(token: Token | undefined): boolean {
  if (token === undefined || token.kind === "newline" || token.kind === "keyword") return false;
  return token.kind !== "operator" || /^(?:[)\]}]|\+\+|--)$/.test(token.text);
}

function illegalAt(source: string, offset: number): string {
  const point = source.codePointAt(offset)!;
  const character = String.fromCodePoint(point);
  if (character === '"') return "string literal not terminated";
  if (character === "`") return "raw string literal not terminated";
  if (character === "'") return "illegal rune literal";
  if (character === "/") return "comment not terminated";
  const hex = point.toString(16).toUpperCase().padStart(4, "0");
  return `illegal character U+${hex} '${character}'`;
}
