/**
 * A regular expression (RE2 syntax) that matches a whole text in linear time, whatever a peer
 * sends.
 *
 * The engine is re2js. It costs microseconds where the native one costs a twentieth, so a pattern
 * that cannot backtrack far (at most one unbounded repetition, of one character class, and no
 * group) is compiled natively; what it means is the same in both.
 */
import { RE2JS } from "re2js";

const LENGTH_MAX = 1_024;

export interface Pattern {
  /** Whether the whole of `text` matches. */
  matches(text: string): boolean;
}

/** The pattern, or what is wrong with it. */
export function compilePattern(source: string, ignoreCase: boolean): Pattern | string {
  if (source.length > LENGTH_MAX) return `is longer than ${LENGTH_MAX} characters`;
  let linear: RE2JS;
  try {
    linear = RE2JS.compile(source, ignoreCase ? RE2JS.CASE_INSENSITIVE : 0);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  return nativePattern(source, ignoreCase) ?? { matches: (text) => linear.matches(text) };
}

/** Literals, escaped punctuation, simple classes and ".", of which one may be repeated. */
const SIMPLE = new RegExp(
  `^(?:${[
    "[A-Za-z0-9_\\-/~ ,:;=@%&!\"'<>#]",
    "\\\\[.\\-/+*?()[\\]{}^$|d]",
    "\\[\\^?[A-Za-z0-9_/\\-.~]+\\]",
    "[.+*]",
  ].join("|")})*$`,
);

/** Undefined where the pattern is not of the simple kind. */
function nativePattern(source: string, ignoreCase: boolean): Pattern | undefined {
  if (ignoreCase || !SIMPLE.test(source)) return undefined;
  const atoms = source.replace(/\\./g, "x").replace(/\[[^\]]*\]/g, "x");
  if ((atoms.match(/[*+]/g) ?? []).length > 1 || /^[*+]/.test(atoms)) return undefined;
  try {
    const native = new RegExp(`^(?:${source})$`, "u");
    return { matches: (text) => native.test(text) };
  } catch {
    return undefined;
  }
}
