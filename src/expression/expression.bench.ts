/**
 * What evaluating an expression costs, over all of Istio's default configuration:
 * `bun src/expression/expression.bench.ts DIR/mixer/default_config_eval.json` (published vectors).
 * Each expression on each bag that the file has; they take turns, the least time of each counts.
 */
import { MutableBag } from "../attribute/bag.ts";
import { Fault } from "../attribute/fault.ts";
import type { ValueType } from "../attribute/value.ts";
import { Vocabulary } from "../attribute/vocabulary.ts";
import { readVectors } from "../bench/conformance/http-vector.ts";
import { type Typed, wireValue } from "../bench/conformance/mixer-expressions.ts";
import { compileExpression, type Expression } from "./expression.ts";

interface Vectors {
  readonly bags: Readonly<Record<string, Readonly<Record<string, Typed>>>>;
  readonly docs: readonly {
    readonly kind: string;
    readonly spec: {
      readonly attributes?: Readonly<Record<string, { readonly valueType: ValueType }>>;
    };
  }[];
  readonly cases: readonly { readonly expr: string; readonly bag: string }[];
}

interface Variant {
  readonly text: string;
  readonly bag: MutableBag;
  readonly expression: Expression;
  ns: number;
}

const rounds = 12;
const calls = 4_000;

function variantsOf({ bags, cases, docs }: Vectors): readonly Variant[] {
  const manifests = docs.map(({ spec }) => Object.entries(spec.attributes ?? {}));
  const vocabulary = new Vocabulary(
    manifests.flat().map(([name, { valueType }]) => [name, valueType] as const),
  );
  return cases.flatMap(({ expr, bag: name }) => {
    const bag = new MutableBag(vocabulary);
    for (const [attribute, value] of Object.entries(bags[name] ?? {}))
      bag.set(attribute, wireValue(value));
    const compiled = compileExpression(expr, vocabulary);
    if (!compiled.ok) return [];
    return [{ text: expr, bag, expression: compiled.expression, ns: Number.POSITIVE_INFINITY }];
  });
}

/** Faults, so that nothing is optimised away. */
function measure(variants: readonly Variant[]): number {
  let faults = 0;
  for (let round = 0; round < rounds; round++)
    for (const variant of variants) {
      const { expression, bag } = variant;
      const start = Bun.nanoseconds();
      for (let i = 0; i < calls; i++) if (expression.evaluate(bag) instanceof Fault) faults++;
      variant.ns = Math.min(variant.ns, (Bun.nanoseconds() - start) / calls);
    }
  return faults / rounds / calls;
}

const [path] = process.argv.slice(2);
if (path === undefined) throw new Error("the path of default_config_eval.json is missing");
const variants = [...variantsOf(readVectors<Vectors>(path))];
const faults = measure(variants);
variants.sort((a, b) => a.ns - b.ns);
const at = (part: number): string =>
  variants[Math.min(variants.length - 1, Math.floor(part * variants.length))]!.ns.toFixed(1);
console.log(`${variants.length} expressions on bags, ${faults} of them faults`);
console.log(`median ${at(0.5)} ns, 90 % ${at(0.9)} ns, 99 % ${at(0.99)} ns`);
for (const { ns, text } of variants.slice(-5))
  console.log(`${ns.toFixed(1).padStart(8)} ns ${text}`);
