/** Parser and type checker tables of Mixer 1.4 and of its ancestors, judged as 1.4 reads them. */
import type { ValueType } from "../../attribute/value.ts";
import { Vocabulary } from "../../attribute/vocabulary.ts";
import { compileExpression, pairsOf } from "../../expression/expression.ts";
import { formatNode, type Node, parseExpression } from "../../expression/parser.ts";
import { readVectors } from "./http-vector.ts";
import { pairsText, type Typed, typedPairsText } from "./mixer-expressions.ts";
import { type Suite, type SuiteResult, Verdicts } from "./suite.ts";

interface Case {
  readonly kind: string;
  readonly version: string;
  readonly expr?: string;
  readonly ast?: string;
  readonly error_contains?: string;
  readonly type?: string;
  readonly expected_type?: string;
  readonly attribute_manifest?: Readonly<Record<string, ValueType>>;
  readonly extra_functions?: readonly unknown[] | null;
  readonly matches?: Readonly<Record<string, Typed>>;
}

function run(path: string): Promise<SuiteResult> {
  const verdicts = new Verdicts();
  for (const one of readVectors<{ cases: readonly Case[] }>(path).cases) {
    const name = `${one.version} ${one.kind} ${one.expr ?? ""}`;
    const why = skipped(one);
    if (why === undefined) verdicts.judge(name, judge(one, one.expr ?? ""));
    else verdicts.skip(name, why);
  }
  return Promise.resolve(verdicts.result());
}

function skipped({ kind, version, expr = "", ...rest }: Case): string | undefined {
  if (kind === "eval_v0" || kind === "eq_v0") return "an evaluator that Istio 0.3 replaced";
  if (kind === "constant") return "a constructor of the original, not text of an expression";
  if ((rest.extra_functions ?? []).length > 0) return "a function of the test";
  if (kind === "parse_error" && version !== "istio-1.4.10" && /\.\w+\(/.test(expr))
    return "methods came with Istio 0.3";
  return undefined;
}

function judge(one: Case, source: string): string | undefined {
  const parsed = parse(source);
  if (one.kind === "typecheck" || one.kind === "assert_type") return judgeType(one, source);
  if (typeof parsed === "string") {
    const right = one.kind === "parse_error" && parsed.includes(one.error_contains ?? "");
    return right ? undefined : parsed;
  }
  if (one.kind === "parse_ok")
    return formatNode(parsed) === one.ast ? undefined : formatNode(parsed);
  if (one.kind !== "eq_matches") return "accepted";
  const pairs = pairsText(pairsOf(parsed));
  return pairs === typedPairsText(one.matches ?? {}) ? undefined : pairs;
}

function judgeType(one: Case, source: string): string | undefined {
  const compiled = compileExpression(
    source,
    new Vocabulary(Object.entries(one.attribute_manifest!)),
  );
  const wanted = one.type ?? one.expected_type;
  const mismatch =
    compiled.ok && one.expected_type !== undefined && compiled.expression.type !== wanted;
  if (one.error_contains !== undefined) {
    const message = compiled.ok ? "" : compiled.problem.message;
    const parts = one.error_contains
      .replace("failed to parse", "unable to parse")
      .replace("unresolved attribute", "unknown attribute");
    return mismatch || (!compiled.ok && message.includes(parts)) ? undefined : `says ${message}`;
  }
  if (!compiled.ok) return compiled.problem.message;
  return compiled.expression.type === wanted ? undefined : compiled.expression.type;
}

function parse(source: string): Node | string {
  try {
    return parseExpression(source);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

export const expressionParserSuites: readonly Suite[] = [
  { file: "mixer/expr_parse_type_tests.json", run },
];
