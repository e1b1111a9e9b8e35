/**
 * Documents of policy, with the templates and adapters that there are: which are refused, what is
 * said about the others, and which rules are left.
 *
 * Parameters are judged by adapters when handlers are built, which is after what the original
 * reports here; so they are in these cases taken as they are, and then judged once more by us: what
 * is said on top of the first must be about parameters.
 */
import { adapters } from "../../adapter/inventory.ts";
import { isError } from "../../core/problem.ts";
import { declaredPolicy } from "../../dialect/policy/policy-set.ts";
import { readDocuments } from "../../dialect/read.ts";
import type { Config } from "../../model/config.ts";
import type { Adapter } from "../../policy/adapter.ts";
import { type Resolved, resolvePolicy } from "../../policy/resolve.ts";
import { templates } from "../../policy/template.ts";
import { readVectors } from "./http-vector.ts";
import { differenceOf } from "./mixer-config-problem.ts";
import { type Suite, type SuiteResult, Verdicts } from "./suite.ts";

interface Document {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec?: Readonly<Record<string, unknown>>;
}

interface Case {
  readonly name: string;
  readonly docs: readonly Document[];
  readonly with_default_manifests?: boolean;
  readonly observed_decode_errors?: readonly { readonly resource: string }[];
  readonly observed_snapshot_errors?: readonly string[];
  readonly observed_rules_kept?: readonly string[];
  readonly expect_error?: string | null;
  readonly op?: string;
}

interface Vectors {
  readonly cases: readonly Case[];
  readonly default_manifests: readonly Document[];
}

function run(path: string): Promise<SuiteResult> {
  const verdicts = new Verdicts();
  const { cases, default_manifests: manifests } = readVectors<Vectors>(path);
  for (const one of cases) {
    const why = reasonToSkip(one);
    if (why !== undefined) verdicts.skip(one.name, why);
    else if (one.observed_snapshot_errors === undefined)
      verdicts.judge(one.name, judgeDecoding(one));
    else verdicts.judge(one.name, judge(one, manifests));
  }
  return Promise.resolve(verdicts.result());
}

function reasonToSkip(one: Case): string | undefined {
  const { docs, op, observed_snapshot_errors: errors = [] } = one;
  if (op === "delete") return "a deletion names an object; there is no document to judge";
  const isOurs = docs.some(({ kind, spec }) => kind === "handler" && spec?.adapter !== undefined);
  const known = adapters.some(({ name }) => docs.some(({ spec }) => spec?.adapter === name));
  if (isOurs && known) return "adapter and compiledAdapter are one: what it names is there";
  const usesNoop = docs.some(({ spec }) => spec?.compiledAdapter === "noop");
  if (usesNoop && errors.some((text) => text.includes("not supported by handler")))
    return "noop takes every template here";
  return undefined;
}

function fullName({ kind, metadata }: Document): string {
  return `${metadata.name}.${kind}.${metadata.namespace}`;
}

interface Decoded {
  readonly configs: readonly Config[];
  readonly refused: readonly string[];
  readonly why: readonly string[];
}

function decode(docs: readonly Document[]): Decoded {
  const read = docs.map((doc) => ({
    doc,
    ...readDocuments(JSON.stringify(doc), { file: fullName(doc), namespace: "default" }),
  }));
  const errors = read.filter(({ problems }) => problems.some(isError));
  return {
    configs: read.flatMap(({ configs }) => configs),
    refused: errors.map(({ doc }) => fullName(doc)),
    why: errors.flatMap(({ problems }) => problems.map(({ message }) => message)),
  };
}

function judgeDecoding({ docs, expect_error: expected }: Case): string | undefined {
  const { refused, why } = decode(docs);
  const isRefused = refused.length > 0;
  if (isRefused === (expected !== null && expected !== undefined)) return undefined;
  return isRefused ? `refused: ${why.join(", ")}` : `accepted, not ${expected}`;
}

function judge(one: Case, manifests: readonly Document[]): string | undefined {
  const { docs, with_default_manifests: withManifests, observed_decode_errors: errors } = one;
  const { configs, refused, why } = decode([...(withManifests ? manifests : []), ...docs]);
  const lenient = resolve(configs, adapters.map(takingAnything));
  const structural = lenient.problems.filter(isStructural);
  const unreadable = new Set([...refused, ...structural.map(({ object }) => object)]);
  const expected = (errors ?? []).map(({ resource }) => resource).sort();
  const observed = (one.observed_snapshot_errors ?? []).map((text) => asResource(text, docs));
  // What lacks its adapter or template is refused here, and there a little later.
  const later = (name: string): boolean =>
    observed.some((text) => new RegExp(`^(?:instance|handler)='${name}'`).test(text));
  const early = [...unreadable].filter((name) => !expected.includes(name) && later(name));
  if (
    [...unreadable]
      .filter((name) => !early.includes(name))
      .toSorted()
      .join() !== expected.join()
  )
    return `refuses ${[...unreadable].join(", ")} (${why.join(", ")}), not ${expected.join(", ")}`;
  const problems = lenient.problems.filter(({ object }) => !unreadable.has(object));
  const rest = observed.filter(
    (text) => !early.some((name) => text.startsWith(`instance='${name}'`)),
  );
  return (
    differenceOf(problems, rest) ??
    judgeRules(lenient, one) ??
    judgeParameters(lenient, resolve(configs, adapters))
  );
}

/** The original knows a template's fields while it decodes; here the dialect does not. */
function isStructural({ object, message }: Resolved["problems"][number]): boolean {
  return !/\.rule\./.test(object) && /^(?:unknown field|must be |is given twice)/.test(message);
}

/** What the original only says of what is compiled, in the words for resources. */
function asResource(text: string, docs: readonly Document[]): string {
  const [, kind, name, what] =
    /^(instance|handler)='([^']*)': missing compiled (template|adapter)$/.exec(text) ?? [];
  const { spec } = docs.find((one) => fullName(one) === name) ?? {};
  const missing = what === "template" ? spec?.compiledTemplate : spec?.compiledAdapter;
  if (missing === undefined) return text;
  return `${kind}='${name}'.${what}: ${what} '${missing}' not found`;
}

/** A rule whose condition is wrong is dropped here; the original drops it where it routes. */
function judgeRules({ policy }: Resolved, one: Case): string | undefined {
  const errors = one.observed_snapshot_errors ?? [];
  const kept = (one.observed_rules_kept ?? []).filter(
    (name) => !errors.some((text) => text.startsWith(`rule='${name}'.Match`)),
  );
  const names = policy.rules.map(({ name }) => name);
  // One that had a header operation only, which is wrong.
  const headersOnly = one.docs
    .filter(({ kind, spec }) => kind === "rule" && spec?.actions === undefined)
    .map(fullName);
  const wanted = kept.filter((name) => names.includes(name) || !headersOnly.includes(name));
  return names.join() === wanted.toSorted().join()
    ? undefined
    : `keeps ${names.join(", ")}, not ${kept.join(", ")}`;
}

function judgeParameters(lenient: Resolved, strict: Resolved): string | undefined {
  const said = new Set(lenient.problems.map((one) => one.object + one.path + one.message));
  const more = strict.problems
    .filter((one) => !said.has(one.object + one.path + one.message))
    .filter(({ object, path }) => !/\.rule\./.test(object) && !/^spec\.?(params|$)/.test(path));
  return more.length === 0 ? undefined : `says of parameters: ${more.map((one) => one.path)}`;
}

function resolve(configs: readonly Config[], from: readonly Adapter[]): Resolved {
  const set = declaredPolicy(configs);
  const inventory = { adapters: from, templates };
  return resolvePolicy(set, inventory, { rootNamespace: "istio-system" });
}

const open = () => ({ close: () => undefined });

function takingAnything(adapter: Adapter): Adapter {
  return { ...adapter, configure: () => ({ runsAt: "proxy", open }) };
}

export const configDocumentSuites: readonly Suite[] = [
  { file: "mixer/config_validation_real_templates.json", run },
];
