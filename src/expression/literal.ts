/** Literals of Go: what their text stands for. A string that is a duration is a DURATION. */
import { byteLength, bytesOfText, textOfBytes } from "../attribute/byte-text.ts";
import { parseDuration } from "../attribute/duration.ts";
import { int64Max, type TypedValue, toInt64 } from "../attribute/value.ts";
import { ExpressionFault, type Token } from "./lexer.ts";

export function valueOfLiteral({ kind, text, offset }: Token): TypedValue {
  if (kind === "int") {
    if (!/^\d+$/.test(text))
      throw new ExpressionFault(`strconv.ParseInt: parsing "${text}": invalid syntax`, offset);
    const value = text.length > 64 ? int64Max + 1n : BigInt(text);
    if (value > int64Max)
      throw new ExpressionFault(`strconv.ParseInt: parsing "${text}": value out of range`, offset);
    return { type: "INT64", value: toInt64(value) };
  }
  if (kind === "float") {
    const value = Number(text);
    if (Number.isFinite(value)) return { type: "DOUBLE", value };
    throw new ExpressionFault(`strconv.ParseFloat: parsing "${text}": value out of range`, offset);
  }
  const value = text.startsWith("`")
    ? text.slice(1, -1).replaceAll("\r", "")
    : unquote(text, offset);
  const duration = parseDuration(value);
  return duration === undefined ? { type: "STRING", value } : { type: "DURATION", value: duration };
}

const sequence =
  /\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([0-7]{3})|([abfnrtv\\'"]))|[^\\]+/gy;
const controls: Readonly<Record<string, string>> = {
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

/** A byte that is written as \xff or \377 stays one: it may be part of a character, or of none. */
function unquote(literal: string, offset: number): string {
  const inner = literal.slice(1, -1);
  const bytes: number[] = [];
  let done = 0;
  const wrongQuote = literal.startsWith('"') ? "'" : '"';
  for (const [part, hex, short, long, octal, control] of inner.matchAll(sequence)) {
    const point = Number.parseInt(short ?? long ?? "0", 16);
    const byte = hex === undefined ? Number.parseInt(octal ?? "0", 8) : Number.parseInt(hex, 16);
    if (point > 0x10ffff || (point >= 0xd800 && point < 0xe000) || byte > 255) break;
    if (control === wrongQuote) break;
    done += part.length;
    if (hex !== undefined || octal !== undefined) bytes.push(byte);
    else if (short !== undefined || long !== undefined)
      bytes.push(...bytesOfText(String.fromCodePoint(point)));
    else
      for (const one of bytesOfText(control === undefined ? part : (controls[control] ?? control)))
        bytes.push(one);
  }
  if (done !== inner.length)
    throw new ExpressionFault(`unknown escape sequence in ${literal}`, offset);
  const text = textOfBytes(Uint8Array.from(bytes));
  if (literal.startsWith("'") && [...text].length !== 1 && byteLength(text) !== 1)
    throw new ExpressionFault(`illegal rune literal ${literal}`, offset);
  return text;
}
