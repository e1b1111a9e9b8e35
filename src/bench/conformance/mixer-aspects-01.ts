/**
 * Of the tables of Mixer 0.1 those about documents: which subject's aspects act on a request, and
 * what descriptors must say. Kinds of aspects are fakes there; here they are real ones.
 */
import { MutableBag } from "../../attribute/bag.ts";
import { Vocabulary } from "../../attribute/vocabulary.ts";
import { isError } from "../../core/problem.ts";
import { declaredPolicy } from "../../dialect/policy/policy-set.ts";
import { standardManifests } from "../../dialect/policy/standard-manifest.ts";
import { readDocuments } from "../../dialect/read.ts";
import { compileExpression } from "../../expression/expression.ts";
import { aspectKinds } from "../../model/aspect-config.ts";
import type { Handler } from "../../model/handler.ts";

export interface AspectCase {
  readonly test: string;
  readonly in?: unknown;
  /** The field that is wrong; empty: none. */
  readonly err?: string;
  readonly identity_attribute_value?: string | null;
  readonly rules?: readonly {
    readonly scope: string;
    readonly subject: string;
    readonly aspect_kinds: readonly string[];
  }[];
  readonly expect_kind_from?: Readonly<Record<string, string>>;
}

const options = { file: "vector", namespace: "default" };
const vocabulary = new Vocabulary(
  standardManifests.flatMap(({ spec }) => spec.attributes.map(({ name, type }) => [name, type])),
);

/** Each kind of the case comes from the subject that it is to come from, and from no other. */
export function judgeSubjects(one: AspectCase): string | undefined {
  const { rules = [], expect_kind_from: wanted = {} } = one;
  const fakes = [...new Set(rules.flatMap(({ aspect_kinds: kinds }) => kinds))];
  const real = new Map(fakes.map((fake, i) => [fake, usable[i]!]));
  const documents = rules.map(({ scope, subject, aspect_kinds: kinds }) => {
    const aspects = kinds.map((fake) => `{ kind: ${real.get(fake)}${paramsOf(real.get(fake)!)} }`);
    return `scope: ${scope}\nsubject: ${subject}\nrules: [{ aspects: [${aspects.join(", ")}] }]\n`;
  });
  const { configs, problems } = readDocuments([adapters, ...documents].join("---\n"), options);
  const [problem] = problems.filter(isError);
  if (problem !== undefined) return problem.message;
  const bag = new MutableBag(vocabulary);
  const host = one.identity_attribute_value ?? "";
  if (host !== "") bag.set("destination.service.host", { type: "STRING", value: host });
  const acting = declaredPolicy(configs).rules.filter(({ spec }) => holds(spec.match!.source, bag));
  for (const [fake, from] of Object.entries(wanted)) {
    const adapter = adapterOf.get(real.get(fake)!);
    const subjects = acting
      .filter(({ spec }) => (spec.actions[0]!.handler as Handler).adapter === adapter)
      .map(({ name }) => name.replace(/\[\d+\]$/, ""));
    const [, subject] = from.split("/");
    if (subjects.join() !== subject) return `${fake} from ${subjects.join()}, not ${subject}`;
  }
  return undefined;
}

function holds(source: string, bag: MutableBag): boolean {
  const compiled = compileExpression(source, vocabulary);
  return compiled.ok && compiled.expression.evaluate(bag) === true;
}

/** Those that need no descriptor. */
const usable = aspectKinds.filter((kind) => /^(denials|lists|access-logs)$/.test(kind));
const adapterOf = new Map([
  ["denials", "denier"],
  ["lists", "listchecker"],
  ["access-logs", "stdio"],
]);
const adapters = `adapters:
- { name: default, impl: denyChecker }
- { name: default, impl: genericListChecker }
- { name: default, impl: stdioLogger }
`;

function paramsOf(kind: string): string {
  if (kind === "lists") return ", params: { check_expression: source.user }";
  return kind === "access-logs" ? ", params: { log: { descriptor_name: l } }" : "";
}

/** By the name of the test: where in a document the value of the case stands. */
const seats: Readonly<Record<string, (value: unknown) => unknown>> = {
  TestValidateLogEntry: (value) => ({ logs: [value] }),
  TestValidateMetric: (value) => ({ metrics: [value] }),
  TestValidateBucket: (buckets) => ({ metrics: [{ ...metric, kind: "DISTRIBUTION", buckets }] }),
  TestValidateQuota: (value) => ({ quotas: [value] }),
  TestValidateMonitoredResource: (value) => ({ monitoredResources: [value] }),
  TestValidatePrincipal: (value) => ({ principals: [value] }),
  TestValidateLabels: (labels) => ({ metrics: [{ ...metric, labels }] }),
  TestValidateDescriptorName: (name) => ({ quotas: [{ name }] }),
};
const metric = { name: "m", kind: "COUNTER", value: "INT64" };

/** The first problem is about the field that it is to be about. */
export function judgeDescriptor({ test, in: value, err = "" }: AspectCase): string | undefined {
  const seat = seats[test];
  const text = typeof value === "string" && seat === undefined ? value : undefined;
  const document = text ?? JSON.stringify(seat?.(asProto(value, test)) ?? value);
  const paths = readDocuments(document, options)
    .problems.filter(isError)
    .map(({ path }) => path);
  const [first] = paths;
  if (err === "") return first === undefined ? undefined : `${first} is wrong`;
  const isAbout = paths.some((path) => `${path}.`.includes(`.${err}`));
  return isAbout ? undefined : `${err} is not among ${paths.join(", ") || "no problems"}`;
}

/** Go's names of fields ─▶ those of JSON; names that an author chose stay. */
function asProto(value: unknown, test: string): unknown {
  if (test === "TestValidateLabels" || typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value;
  const entries = Object.entries(value).flatMap(([key, inner]): [string, unknown][] => {
    // A oneof has a name in Go alone.
    if (key === "Definition") return Object.entries(asProto(inner, test) as object);
    const name = key.charAt(0).toLowerCase() + key.slice(1);
    return [[name, key === "Labels" ? inner : asProto(inner, test)]];
  });
  return Object.fromEntries(entries);
}
