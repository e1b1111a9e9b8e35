/** Expressions of Istio's Mixer: its tables, an oracle's answers, its default configuration. */
import { MutableBag, type WireValue } from "../../attribute/bag.ts";
import { formatDuration } from "../../attribute/duration.ts";
import { Fault } from "../../attribute/fault.ts";
import { type Reference, TrackedBag } from "../../attribute/reference.ts";
import { formatTimestamp, parseTimestamp } from "../../attribute/timestamp.ts";
import { type TypedValue, toInt64, type Value, type ValueType } from "../../attribute/value.ts";
import { Vocabulary } from "../../attribute/vocabulary.ts";
import { type Compiled, compileExpression } from "../../expression/expression.ts";
import { readVectors } from "./http-vector.ts";
import { type Suite, type SuiteResult, Verdicts } from "./suite.ts";

export interface Typed {
  readonly type: string;
  readonly value?: unknown;
  readonly ns?: string;
  readonly hex?: string;
}

interface Case {
  readonly expr: string;
  readonly attribute_set?: string;
  readonly attributes?: Readonly<Record<string, unknown>> | null;
  readonly bag?: string;
  readonly quirk?: string;
  readonly extra_functions?: unknown;
  readonly observed: {
    readonly ast?: string;
    readonly parse_error?: string;
    readonly type_error?: string;
    readonly compile_error?: string;
    readonly type?: string;
    readonly result?: Typed;
    readonly error?: string;
    readonly referenced?: readonly string[];
    readonly eq_matches?: Readonly<Record<string, Typed>>;
  };
}

interface Vectors {
  readonly cases: readonly Case[];
  readonly attribute_sets?: Readonly<Record<string, Readonly<Record<string, ValueType>>>>;
  readonly bags?: Readonly<Record<string, Readonly<Record<string, Typed>>>>;
}

const bagless = "right so far, but the file lacks the bag that it is evaluated on";

/** What the original has as an error and we have as part of the language. */
const beyond = /unknown function: (?:NOT|SUB)$|(?:equality|less than) .*: duration$/;

function run(path: string): Promise<SuiteResult> {
  const verdicts = new Verdicts();
  const vectors = readVectors<Vectors>(path);
  for (const one of vectors.cases) {
    const refusal = one.observed.type_error ?? one.observed.compile_error ?? "";
    if (one.quirk !== undefined) verdicts.skip(one.expr, one.quirk);
    else if (one.extra_functions !== undefined) verdicts.skip(one.expr, "a function of the test");
    else if (beyond.test(refusal)) verdicts.skip(one.expr, "part of our language beyond CEXL");
    else {
      const why = judge(one, vectors);
      if (why === bagless) verdicts.skip(one.expr, bagless);
      else verdicts.judge(one.expr, why);
    }
  }
  return Promise.resolve(verdicts.result());
}

function judge(one: Case, vectors: Vectors): string | undefined {
  const named = one.bag ?? (one.attributes?.$bag as string | undefined);
  const values = (
    named === undefined ? (one.attributes ?? {}) : (vectors.bags?.[named] ?? {})
  ) as Readonly<Record<string, Typed>>;
  const set = vectors.attribute_sets?.[one.attribute_set ?? "istio"];
  const vocabulary = new Vocabulary(set === undefined ? inferred(vectors) : Object.entries(set));
  const compiled = compileExpression(one.expr, vocabulary);
  const { observed } = one;
  const refusal = observed.parse_error ?? observed.type_error ?? observed.compile_error;
  if (refusal !== undefined) return judgeRefusal(compiled, refusal);
  if (!compiled.ok) return `refused: ${compiled.problem.message}`;
  const { expression } = compiled;
  if (expression.canonical !== observed.ast) return `reads as ${expression.canonical}`;
  if (expression.type !== observed.type) return `has type ${expression.type}`;
  const pairs = pairsText(expression.pairs);
  const expected = observed.eq_matches && typedPairsText(observed.eq_matches);
  if (expected !== undefined && pairs !== expected) return `pairs ${pairs}, not ${expected}`;
  if (named !== undefined && vectors.bags?.[named] === undefined && expression.reads.size > 0)
    return bagless;
  const bag = new MutableBag(vocabulary);
  for (const [name, value] of Object.entries(values)) bag.set(name, wireValue(value));
  const tracked = new TrackedBag(vocabulary, bag);
  const result = expression.evaluate(tracked);
  if (observed.error !== undefined) {
    if (!(result instanceof Fault)) return `yields ${String(result)}, not ${observed.error}`;
    if (result.message !== observed.error) return `fails: ${result.message}`;
  } else {
    if (result instanceof Fault) return `fails: ${result.message}`;
    const text = shown(observed.type!, result);
    const wanted = shown(observed.type!, wireValue(observed.result!).value);
    if (text !== wanted) return `yields ${text}, not ${wanted}`;
  }
  return judgeReferences(observed.referenced, tracked.references(), vocabulary);
}

export function pairsText(pairs: ReadonlyMap<string, TypedValue>): string {
  const text = ([name, { type, value }]: readonly [string, TypedValue]): string =>
    `${name}: ${type} ${shown(type, value)}`;
  return [...pairs].map(text).sort().join();
}

export function typedPairsText(pairs: Readonly<Record<string, Typed>>): string {
  const text = ([name, typed]: readonly [string, Typed]): string =>
    `${name}: ${typed.type} ${shown(typed.type, wireValue(typed).value)}`;
  return Object.entries(pairs).map(text).sort().join();
}

/** By the whole message; texts of Go's parser, as the vectors say themselves, by their kind. */
function judgeRefusal(compiled: Compiled, refusal: string): string | undefined {
  if (compiled.ok) return `accepted, not ${refusal}`;
  const { message } = compiled.problem;
  const kind = /^(?:unable to parse|unexpected expression)/.exec(refusal)?.[0];
  const right = kind === undefined ? message === refusal : message.startsWith(kind);
  return right ? undefined : `refused by another reason: ${message}, not ${refusal}`;
}

/** The original's test bag also notes a map itself where one of its keys is looked up. */
function judgeReferences(
  expected: readonly string[] | undefined,
  references: readonly Reference[],
  vocabulary: Vocabulary,
): string | undefined {
  const found = references.map(
    ({ name, condition, mapKey }) =>
      `${condition === "ABSENCE" ? "-" : ""}${name}${mapKey === undefined ? "" : `[${mapKey}]`}`,
  );
  if (expected === undefined) return undefined;
  const wanted = expected.filter((name) => vocabulary.find(name)?.type !== "STRING_MAP");
  if (JSON.stringify(wanted.sort()) === JSON.stringify(found.sort())) return undefined;
  return `depends on ${found.join(" ")}, not ${wanted.join(" ")}`;
}

export function wireValue(typed: Typed): WireValue {
  const { type, value, ns, hex } = typed;
  switch (type) {
    case "INT64":
      return { type, value: toInt64(BigInt(value as string)) };
    case "DOUBLE":
    case "BOOL":
      return { type, value: value as Value };
    case "TIMESTAMP":
      return { type, value: parseTimestamp(value as string)! };
    case "DURATION":
      return { type, value: toInt64(BigInt(ns!)) };
    case "BYTES":
    case "IP_ADDRESS":
      return { type: "BYTES", value: Uint8Array.fromHex(hex!) };
    case "STRING_MAP":
      return { type, value: new Map(Object.entries((value ?? {}) as Record<string, string>)) };
    default:
      return { type: "STRING", value: value as string };
  }
}

function shown(type: string, value: Value): string {
  if (type === "TIMESTAMP") return formatTimestamp(value as never);
  if (type === "DURATION") return formatDuration(value as never);
  if (value instanceof Uint8Array) return value.toHex();
  if (type !== "STRING_MAP") return String(value);
  return JSON.stringify([...(value as ReadonlyMap<string, string>).entries()].sort());
}

/** The default configuration comes without a list of types: those of its values and names. */
function inferred({ bags = {}, cases }: Vectors): Map<string, ValueType> {
  const types = new Map<string, ValueType>();
  for (const values of Object.values(bags))
    for (const [name, { type }] of Object.entries(values))
      types.set(name, type === "BYTES" ? "IP_ADDRESS" : (type as ValueType));
  for (const { observed } of cases)
    for (const [, name] of (observed.ast ?? "").matchAll(/\$([\w.]+)/g))
      if (!types.has(name!)) types.set(name!, guessed(observed.ast!, name!, observed.type!));
  return types;
}

function guessed(ast: string, name: string, type: string): ValueType {
  const pattern = `INDEX\\((?:OR\\()?\\$${name.replaceAll(".", "\\.")}\\b`;
  if (new RegExp(pattern).test(ast)) return "STRING_MAP";
  return type === "BOOL" && !ast.startsWith(`OR($${name}`) ? "STRING" : (type as ValueType);
}

export const expressionSuites: readonly Suite[] = [
  { file: "mixer/expr_il_testing.json", run },
  { file: "mixer/expr_oracle_extra.json", run },
  { file: "mixer/default_config_eval.json", run },
];
