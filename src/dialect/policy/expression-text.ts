/**
 * Expressions in documents: texts that know where they begin, and problems inside of them. An
 * expression that YAML took for a number or a boolean is an error: `value: "1"`, not `value: 1`.
 */
import { isScalar } from "yaml";
import type { Position } from "../../core/problem.ts";
import type { ExpressionText } from "../../model/instance.ts";
import type { Reader } from "../schema/message.ts";
import { type Place, positionAt, report } from "../schema/place.ts";
import { text } from "../schema/scalar.ts";

export const expression: Reader<ExpressionText> = (place) => {
  const source = text(place);
  return source === undefined ? undefined : { source, at: positionWithin(place, 0) };
};

/** Of a character of a text; exact where it is on one line without escapes. */
export function positionWithin(place: Place, index: number): Position {
  return positionAt(place.reading.source, contentOffset(place) + index);
}

/** Reports what is wrong at a character of a text. */
export function errorWithin(place: Place, index: number, message: string, hint?: string): void {
  place.reading.errors++;
  report(place.reading.source, contentOffset(place) + index, {
    severity: "error",
    path: place.path,
    message,
    ...(hint !== undefined && { suggestion: hint }),
  });
}

/** Where the first character of a text stands: behind its quote, or below its "|". */
function contentOffset({ node, reading }: Place): number {
  if (!isScalar(node) || !node.range) return 0;
  const [start] = node.range;
  if (node.type === "QUOTE_DOUBLE" || node.type === "QUOTE_SINGLE") return start + 1;
  const isBlock = node.type === "BLOCK_LITERAL" || node.type === "BLOCK_FOLDED";
  return isBlock ? blockContent(start, reading.source.lines) : start;
}

/** Leading blank lines are part of the text, and nobody looks for an expression there. */
function blockContent(start: number, lines: Place["reading"]["source"]["lines"]): number {
  const header = lines.at(start).line;
  for (let line = header + 1; line <= header + blankLinesMax; line++) {
    const [margin] = /^ */.exec(lines.line(line, 200)) ?? [""];
    if (lines.line(line, 200).trim() !== "") return lines.offset(line) + margin.length;
  }
  return start;
}

const blankLinesMax = 10;
