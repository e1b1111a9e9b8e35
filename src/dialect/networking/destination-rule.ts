/** DestinationRule of networking.istio.io. Spec table: manager 1.14. */
import type { DestinationRule, Subset } from "../../model/destination-rule.ts";
import { checkDnsLabel, checkKubernetesLabel } from "../../model/validate-name.ts";
import { type Context, resolveService } from "../routing/service-ref.ts";
import { labelsChecked } from "../schema/label.ts";
import { list, message, toRecord, type ValueOf } from "../schema/message.ts";
import type { Place } from "../schema/place.ts";
import { text } from "../schema/scalar.ts";
import { trafficPolicy } from "./traffic-policy.ts";

const subset = message({
  name: text,
  labels: labelsChecked(checkKubernetesLabel),
  trafficPolicy,
});

const written = message({
  host: text,
  trafficPolicy,
  subsets: list(subset),
  exportTo: list(text),
  workloadSelector: message({ matchLabels: labelsChecked(checkKubernetesLabel) }),
});

type Written = NonNullable<ValueOf<typeof written>>;

/** Undefined after the problems have been reported. */
export function readDestinationRule(place: Place, context: Context): DestinationRule | undefined {
  const rule = written(place);
  if (rule === undefined) return undefined;
  const { host } = rule;
  if (!rule.has("host")) rule.at().error("must have a host");
  const at = rule.at("host");
  const named = host === undefined ? undefined : resolveService({ text: host, place: at }, context);
  const subsets = readSubsets(rule);
  const selector = toRecord(rule.workloadSelector?.matchLabels);
  const exportTo = readExportTo(rule, context.namespace);
  if (named === undefined) return undefined;
  return {
    host: named.host,
    ...(rule.trafficPolicy && { trafficPolicy: rule.trafficPolicy }),
    subsets,
    exportTo,
    ...(Object.keys(selector).length > 0 && { workloadSelector: selector }),
  };
}

function readSubsets(rule: Written): readonly Subset[] {
  const seen = new Set<string>();
  return (rule.subsets ?? []).map((one) => {
    const { name = "" } = one;
    const complaint = checkDnsLabel(name);
    if (!one.has("name")) one.at().error("must have a name");
    else if (complaint !== undefined && one.name !== undefined)
      one.at("name").error(`"${name}" ${complaint}`);
    if (seen.has(name)) one.at("name").error(`"${name}" is another subset's name`);
    seen.add(name);
    return {
      name,
      labels: toRecord(one.labels),
      ...(one.trafficPolicy && { trafficPolicy: one.trafficPolicy }),
    };
  });
}

function readExportTo(rule: Written, namespace: string): readonly string[] {
  const entries = rule.exportTo ?? [];
  const seen = new Set<string>();
  for (const entry of entries) {
    const meant = entry === "." ? namespace : entry;
    const complaint = entry === "*" || entry === "." ? undefined : checkDnsLabel(entry);
    if (complaint !== undefined) rule.at("exportTo").error(`"${entry}" ${complaint}`);
    if (seen.has(meant)) rule.at("exportTo").error(`"${entry}" is given twice`);
    seen.add(meant);
  }
  if (entries.includes("*") && entries.length > 1) rule.at("exportTo").error('"*" must be alone');
  const selects = (rule.workloadSelector?.matchLabels?.length ?? 0) > 0;
  if (selects && [...seen].some((meant) => meant !== namespace))
    rule.at("exportTo").error('must be "." beside a workloadSelector');
  return entries;
}
