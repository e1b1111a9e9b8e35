/** Which quotas requests take from, by QuotaSpecs. */
import { readFileSync } from "node:fs";
import { MutableBag } from "../../attribute/bag.ts";
import { type ValueType, valueTypes } from "../../attribute/value.ts";
import { Vocabulary } from "../../attribute/vocabulary.ts";
import type { QuotaSpec, StringMatch } from "../../model/quota-spec.ts";
import { QuotaMatcher } from "../../policy/quota-match.ts";
import { difference } from "./mixer-adapters.ts";
import { wireValue } from "./mixer-expressions.ts";
import { type Suite, Verdicts } from "./suite.ts";

type Clause = Readonly<Partial<Record<"exact" | "prefix" | "regex", string>>>;

interface Vector {
  readonly test: string;
  readonly spec: {
    readonly rules: readonly {
      readonly match?: readonly { readonly clause: Readonly<Record<string, Clause>> }[];
      readonly quotas: QuotaSpec["rules"][number]["quotas"];
    }[];
  };
  readonly attributes: Readonly<Record<string, Parameters<typeof wireValue>[0]>>;
  readonly quotas: QuotaSpec["rules"][number]["quotas"];
}

export const quotaSpecSuites: readonly Suite[] = [{ file: "mixer/quota_spec_match.json", run }];

async function run(path: string): ReturnType<Suite["run"]> {
  const verdicts = new Verdicts();
  const { cases } = JSON.parse(readFileSync(path, "utf8")) as { cases: readonly Vector[] };
  for (const [i, one] of cases.entries()) verdicts.judge(`${one.test}#${i}`, judge(one));
  return verdicts.result();
}

function judge({ spec, attributes, quotas }: Vector): string | undefined {
  const rules = spec.rules.map(({ match = [], quotas: taken }) => ({
    match: match.map(({ clause }) =>
      Object.fromEntries(Object.entries(clause).map(([name, one]) => [name, stringMatch(one)])),
    ),
    quotas: taken,
  }));
  const named = rules.flatMap(({ match }) => match.flatMap((one) => Object.keys(one)));
  const types = new Map<string, ValueType>(named.map((name) => [name, "STRING"]));
  for (const [name, { type }] of Object.entries(attributes))
    types.set(name, valueTypes.find((known) => known === type) ?? "STRING");
  const vocabulary = new Vocabulary(types);
  const bag = new MutableBag(vocabulary);
  for (const [name, value] of Object.entries(attributes)) bag.set(name, wireValue(value));
  const bound = [{ name: "spec", services: ["*"], spec: { rules } }];
  const charges = new QuotaMatcher(bound, vocabulary).chargesOf("service", bag);
  return difference(charges, quotas);
}

function stringMatch({ exact, prefix, regex = "" }: Clause): StringMatch {
  if (exact !== undefined) return { by: "exact", text: exact };
  return prefix === undefined ? { by: "regex", pattern: regex } : { by: "prefix", text: prefix };
}
