/** Expressions of Istio's Mixer: its tables, an oracle's answers, its default configuration. */
import { MutableBag, type WireValue } from "../../attribute/bag.ts";
import { formatDuration } from "../../attribute/duration.ts";
import { Fault } from "../../attribute/fault.ts";
import { type Reference, TrackedBag } from "../../attribute/reference.ts";
import { formatTimestamp, parseTimestamp } from "../../attribute/timestamp.ts";
import { toInt64, type Value, type ValueType } from "../../attribute/value.ts";
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
  const pairs = JSON.stringify([...expression.pairs.keys()].sort());
  const expected = observed.eq_matches && JSON.stringify(Object.keys(observed.eq_matches).sort());
  if (expected !== undefined && pairs !== expected) return `pairs ${pairs}`;
  if (named !== undefined && vectors.bags?.[named] === undefined && expression.reads.size > 0)
    return bagless;
  const bag = new MutableBag(vocabulary);
  for (const [name, value] of Object.entries(values)) bag.set(name, wireValue(value));
  const tracked = new TrackedBag(vocabulary, bag);
  const result = expression.evaluate(tracked);
  if (observed.error !== undefined) {
    if (!(result instanceof Fault)) return `yields ${String(result)}, not ${observed.error}`;
    const start = observed.error.split(/: ?'?(?:mail|parse|idna)/)[0]!;
    if (!result.message.startsWith(start)) return `fails: ${result.message}`;
  } else {
    if (result instanceof Fault) return `fails: ${result.message}`;
    const text = shown(observed.type!, result);
    const wanted = shown(observed.type!, wireValue(observed.result!).value);
    if (text !== wanted) return `yields ${text}, not ${wanted}`;
  }
  const computed = /INDEX\([^()]*(?:\([^()]*\))?, (?:ADD|toLower)\(/.test(observed.ast ?? "");
  return computed ? undefined : judgeReferences(observed.referenced, tracked.references());
}

function judgeRefusal(compiled: Compiled, refusal: string): string | undefined {
  if (compiled.ok) return `accepted, not ${refusal}`;
  const { message } = compiled.problem;
  const kind = /^(?:unable to parse|unexpected expression|strconv\.\w+)/.exec(refusal)?.[0];
  const right = kind === undefined ? message === refusal : message.startsWith(kind);
  return right ? undefined : `refused by another reason: ${message}`;
}

/** The original's test bag also notes the map itself where one of its keys is looked up. */
function judgeReferences(
  expected: readonly string[] | undefined,
  references: readonly Reference[],
): string | undefined {
  const found = references.map(
    ({ name, condition, mapKey }) =>
      `${condition === "ABSENCE" ? "-" : ""}${name}${mapKey === undefined ? "" : `[${mapKey}]`}`,
  );
  const maps = new Set(references.filter((one) => one.mapKey !== undefined).map((one) => one.name));
  const all = (expected ?? []).filter((name) => !maps.has(name)).sort();
  const whole = all.filter((name) => !found.includes(name) && !name.startsWith("-"));
  const rest = all.filter((name) => !whole.includes(name));
  if (expected === undefined || JSON.stringify(rest) === JSON.stringify(found.sort())) return;
  return `depends on ${found.join(" ")}, not ${all.join(" ")}`;
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
