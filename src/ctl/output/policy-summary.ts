/**
 * Policy in a few words for tables, from its spec in canonical JSON: "h.denier ← a, b". Of the
 * older kinds the spec is what an adapter or a template is told. Tolerant, as all summaries.
 */

import { adapterKinds, templateKinds } from "../../dialect/policy/typed-kind.ts";
import { type Json, list, record, text } from "./loose-json.ts";

export interface PolicySummary {
  /** The services that it is for, where it says so. */
  readonly destination: string;
  readonly action: string;
}

/** Undefined: no kind of policy. */
export function summarizePolicy(kind: string, spec: Json): PolicySummary | undefined {
  return Object.hasOwn(summaries, kind) ? summaries[kind]?.(spec) : undefined;
}

const summaries: Readonly<Record<string, (spec: Json) => PolicySummary>> = {
  rule: (spec) => of(ruleText(spec)),
  handler: (spec) => of(`${text(spec.compiledAdapter)} ${fieldNames(spec.params)}`.trimEnd()),
  instance: (spec) => of(`${text(spec.compiledTemplate)} ${fieldNames(spec.params)}`.trimEnd()),
  attributemanifest: ({ attributes }) => of(`${Object.keys(record(attributes)).length} attributes`),
  ServiceConfig: ({ subject, rules }) => ({
    destination: text(subject).replace(/\.svc\.cluster\.local$/, ""),
    action: aspectsOf(rules).join(", "),
  }),
  GlobalConfig: (spec) =>
    of(
      Object.entries(spec)
        .filter(([, value]) => Array.isArray(value))
        .map(([field, value]) => `${list(value).length} ${field}`)
        .join(", "),
    ),
  QuotaSpec: ({ rules }) => of(list(rules).map(chargesText).join("; ")),
  QuotaSpecBinding: (spec) => binding(spec.services, spec.quotaSpecs),
  HTTPAPISpec: ({ patterns, apiKeys }) =>
    of(`${list(patterns).length} operations, ${list(apiKeys).length} places of keys`),
  HTTPAPISpecBinding: (spec) => binding(spec.services, spec.apiSpecs),
};

/** What an adapter or a template of an older kind is told: "maxAmount, validDuration". */
export function summarizeTyped(kind: string, spec: Json): PolicySummary {
  const isTyped = adapterKinds.has(kind) || templateKinds.includes(kind);
  return of(isTyped ? fieldNames(spec) : "");
}

function of(action: string): PolicySummary {
  return { destination: "", action };
}

/** "request.method == "GET" → h.denier ← a, b + 1 header" */
function ruleText(rule: Json): string {
  const actions = list(rule.actions).map(actionText);
  const headers = [...list(rule.requestHeaderOperations), ...list(rule.responseHeaderOperations)];
  const names = headers.map((one) => text(record(one).name));
  if (names.length > 0) actions.push(`header ${names.join(", ")}`);
  const all = actions.join(" + ");
  const match = text(rule.match).replace(/\s+/g, " ").trim();
  return match === "" ? all : `${match} → ${all}`;
}

function actionText(action: unknown): string {
  const { handler, instances } = record(action);
  const told = list(instances).map((one) => nameText(one, "compiledTemplate"));
  const limit = limitText(handler);
  if (limit !== undefined) return `${limit}${dimensionsText(instances)}`;
  return `${nameText(handler, "compiledAdapter")} ← ${told.join(", ")}`;
}

/** An inline quota: "limit 100/1s". */
function limitText(handler: unknown): string | undefined {
  const quotas = list(record(record(handler).params).quotas).map(record);
  if (quotas.length === 0) return undefined;
  return quotas
    .map(({ maxAmount, validDuration }) => `limit ${text(maxAmount)}/${text(validDuration)}`)
    .join(", ");
}

function dimensionsText(instances: unknown): string {
  const by = list(instances).flatMap((one) =>
    Object.keys(record(record(record(one).params).dimensions)),
  );
  return by.length === 0 ? "" : ` by ${by.join(", ")}`;
}

/** Kinds of aspects, each once. */
function aspectsOf(rules: unknown): readonly string[] {
  const kinds = list(rules).flatMap((rule) => {
    const { aspects, rules: inner } = record(rule);
    return [...list(aspects).map((aspect) => text(record(aspect).kind)), ...aspectsOf(inner)];
  });
  return [...new Set(kinds)];
}

function nameText(value: unknown, inlineField: string): string {
  return typeof value === "string" ? value : text(record(value)[inlineField]);
}

function chargesText(rule: unknown): string {
  const quotas = list(record(rule).quotas).map(record);
  const charges = quotas.map(({ quota, charge }) => `${text(quota)} ${text(charge)}`).join(", ");
  return record(rule).match === undefined ? charges : `some → ${charges}`;
}

function binding(services: unknown, specs: unknown): PolicySummary {
  return {
    destination: list(services)
      .map((one) => text(record(one).service).replace(/\.svc\.cluster\.local$/, ""))
      .join(","),
    action: list(specs)
      .map((one) => `${text(record(one).namespace)}/${text(record(one).name)}`)
      .join(", "),
  };
}

function fieldNames(value: unknown): string {
  return Object.keys(record(value)).join(", ");
}
