/**
 * How texts of rules become matchers in Istio, against our patterns: in form where the form is all,
 * else by what both say of the same texts.
 */
import { compileTexts, parseTextPattern } from "../../policy/authorization/text-pattern.ts";

type Row = Readonly<Record<string, unknown>>;
type Pattern = Readonly<Record<string, unknown>>;
type Verdict = string | undefined | { readonly departs: string };

const noRegex = { departs: "rules of authorization have no regular expressions" };
const file = "istio-master__pilot_pkg_security_authz_matcher";

export const authzTableJudges: Readonly<Record<string, (row: Row) => Verdict>> = {
  [`${file}_header_test TestHeaderMatcher`]: ({ V, Expect }) => sameForm(V, headerOf(Expect)),
  [`${file}_header_test TestHostMatcher`]: ({ V, Expect }) =>
    sameForm(String(V).toLowerCase(), headerOf(Expect)),
  [`${file}_header_test TestPathMatcher`]: ({ V, Expect }) =>
    sameForm(V, patternOf(at(at(Expect, "rule"), "path"))),
  [`${file}_string_test TestStringMatcherWithPrefix`]: ({ v, prefix, want }) =>
    sayTheSame(String(v), String(prefix ?? ""), patternOf(want)),
  [`${file}_string_test TestStringMatcherRegex`]: () => noRegex,
  [`${file}_string_test TestStringMatcherPrefix`]: ({ str, want }) =>
    sameForm(`${str}*`, patternOf(want)),
  [`${file}_string_test TestStringMatcherSuffix`]: ({ str, want }) =>
    sameForm(`*${str}`, patternOf(want)),
  [`${file}_string_test TestStringMatcherExact`]: ({ str, want }) => sameForm(str, patternOf(want)),
  [`${file}_string_test TestStringMatcherRegex_Match`]: ({ v, prefix, match, noMatch }) => {
    const test = compileTexts([String(v)]);
    const isMatched = (text: unknown): boolean => test(without(String(text), String(prefix ?? "")));
    if (match !== undefined && !isMatched(match)) return `${match} does not match`;
    return noMatch !== undefined && isMatched(noMatch) ? `${noMatch} matches` : undefined;
  },
};

function at(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Row)[name] : undefined;
}

function patternOf(matcher: unknown): Pattern {
  return (at(matcher, "matchPattern") ?? {}) as Pattern;
}

function headerOf(matcher: unknown): Pattern {
  const specifier = at(matcher, "headerMatchSpecifier");
  if (at(specifier, "presentMatch") === true) return { present: true };
  return patternOf(at(specifier, "stringMatch"));
}

function sameForm(written: unknown, theirs: Pattern): string | undefined {
  const pattern = parseTextPattern(String(written));
  const ours = pattern.kind === "present" ? { present: true } : { [pattern.kind]: pattern.text };
  // "There is one", in two ways of saying it.
  const isAny = Bun.deepEquals(theirs, { safeRegex: { regex: ".+" } });
  const wanted = isAny ? { present: true } : theirs;
  if (Bun.deepEquals(ours, wanted)) return undefined;
  return `${JSON.stringify(ours)}, not ${JSON.stringify(wanted)}`;
}

/** Ours are compared with what follows the prefix, which all texts here have. */
function sayTheSame(written: string, prefix: string, theirs: Pattern): string | undefined {
  const test = compileTexts([written]);
  const bare = written.replace(/^\*|\*$/g, "");
  const tails = [
    "",
    "x",
    bare,
    `${bare}x`,
    `x${bare}`,
    `x${bare}x`,
    bare.slice(1),
    bare.slice(0, -1),
  ];
  for (const tail of tails) {
    const text = `${prefix}${tail}`;
    if (text === "" || tail === "") continue;
    if (test(tail) !== matches(theirs, text))
      return `${text}: ${test(tail)}, not ${matches(theirs, text)}`;
  }
  return undefined;
}

function matches(pattern: Pattern, text: string): boolean {
  const [kind, of] = Object.entries(pattern)[0] ?? [];
  if (kind === "exact") return text === of;
  if (kind === "prefix") return text.startsWith(String(of));
  if (kind === "suffix") return text.endsWith(String(of));
  return new RegExp(`^(?:${String(at(of, "regex"))})$`).test(text);
}

function without(text: string, prefix: string): string {
  return text.startsWith(prefix) ? text.slice(prefix.length) : text;
}
