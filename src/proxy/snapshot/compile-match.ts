/** Conditions of the configuration ─▶ what decides them on bytes. */
import type {
  HeaderMatch,
  RouteMatch,
  StringMatch,
} from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { encode } from "../route/byte-range.ts";
import { compilePattern } from "../route/pattern.ts";
import { type NamedCondition, RouteCondition } from "../route/route-condition.ts";
import { StringMatcher } from "../route/string-matcher.ts";
import type { ProblemList } from "./problem-list.ts";

const fieldNamePattern = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

export function compileMatch(match: RouteMatch | undefined, problems: ProblemList): RouteCondition {
  const text = (value: StringMatch | undefined, field: string): StringMatcher | undefined =>
    value === undefined ? undefined : compileStringMatch(value, problems.at(field));
  return new RouteCondition({
    path: withoutTrivial(text(match?.path, "path")),
    method: text(match?.method, "method"),
    scheme: text(match?.scheme, "scheme"),
    authority:
      match?.authority === undefined
        ? undefined
        : compileStringMatch({ ...match.authority, ignoreCase: true }, problems.at("authority")),
    fields: namedConditions(match?.headers ?? [], "header", problems),
    parameters: namedConditions(match?.queryParams ?? [], "query", problems),
  });
}

/** Without a kind it asks nothing but presence. */
export function compileStringMatch(
  { kind, ignoreCase }: Pick<StringMatch, "kind" | "ignoreCase">,
  problems: ProblemList,
): StringMatcher {
  switch (kind.case) {
    case "exact":
      return new StringMatcher("exact", encode(kind.value), ignoreCase);
    case "prefix":
      return new StringMatcher("prefix", encode(kind.value), ignoreCase);
    case "segmentPrefix":
      return new StringMatcher(
        "segment-prefix",
        encode(kind.value.replace(/\/+$/, "")),
        ignoreCase,
      );
    case "regex": {
      const pattern = compilePattern(kind.value, ignoreCase);
      if (typeof pattern !== "string")
        return new StringMatcher("regex", encode(kind.value), ignoreCase, pattern);
      problems.at("regex").add(`"${kind.value}": ${pattern}`);
      return new StringMatcher("present", encode(""), false);
    }
    case "present":
    case undefined:
      return new StringMatcher("present", encode(""), false);
  }
}

/** A path is always there. */
function withoutTrivial(path: StringMatcher | undefined): StringMatcher | undefined {
  return path?.kind === "present" ? undefined : path;
}

function namedConditions(
  matches: readonly HeaderMatch[],
  kind: "header" | "query",
  problems: ProblemList,
): NamedCondition[] {
  const list = kind === "header" ? "headers" : "query_params";
  return matches.map((match, i) => {
    const here = problems.at(`${list}[${i}]`);
    if (match.name === "") here.add("a condition names what it is on");
    else if (kind === "header" && !fieldNamePattern.test(match.name))
      here.add(`"${match.name}" is not a header name`);
    // Whether "present: false" means absence is said by its inversion.
    const absent = match.value?.kind.case === "present" && !match.value.kind.value;
    const name = encode(kind === "header" ? match.name.toLowerCase() : match.name);
    const asked = match.value ?? { kind: { case: undefined }, ignoreCase: false };
    const value = compileStringMatch(asked, here.at("value"));
    return { name, value, invert: match.invert !== absent };
  });
}
