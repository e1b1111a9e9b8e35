/** `kind: QuotaSpec`: which quotas a request takes from, and how much. Spec table: mixer 2.7. */
import type { QuotaCharge, QuotaSpec, StringMatch } from "../../model/quota-spec.ts";
import { list, mapOf, message, type Reader, toRecord, type ValueOf } from "../schema/message.ts";
import type { Place } from "../schema/place.ts";
import { integer, nonEmpty } from "../schema/scalar.ts";

const written = message({ exact: nonEmpty, prefix: nonEmpty, regex: nonEmpty });

const stringMatch: Reader<StringMatch> = (place) => {
  const match = written(place);
  if (match === undefined) return undefined;
  const given = (["exact", "prefix", "regex"] as const).filter((field) => match.has(field));
  if (given.length !== 1) {
    place.error(`must have exactly one of exact, prefix and regex, not ${given.length}`);
    return undefined;
  }
  const { exact, prefix, regex } = match;
  if (exact !== undefined) return { by: "exact", text: exact };
  if (prefix !== undefined) return { by: "prefix", text: prefix };
  return regex === undefined ? undefined : { by: "regex", pattern: regex };
};

const quota = message({
  quota: nonEmpty,
  charge: integer({ least: 0, most: Number.MAX_SAFE_INTEGER }),
});

const quotaRule = message({
  match: list(message({ clause: mapOf(stringMatch) })),
  quotas: list(quota),
});

const fields = message({ rules: list(quotaRule) });

/** Undefined after the problems have been reported. */
export function readQuotaSpec(place: Place): QuotaSpec | undefined {
  const spec = fields(place);
  if (spec === undefined) return undefined;
  if (!spec.has("rules") || spec.rules?.length === 0) spec.at("rules").error("must have a rule");
  return { rules: (spec.rules ?? []).map(toRule) };
}

function toRule(rule: ValueOf<typeof quotaRule>): QuotaSpec["rules"][number] {
  const { match = [], quotas = [] } = rule;
  if (!rule.has("quotas") || rule.quotas?.length === 0)
    rule.at("quotas").error("must have a quota, or nothing is charged");
  return {
    match: match.map(({ clause }) => toRecord(clause)),
    quotas: quotas.map(toCharge),
  };
}

/** A quota that is named is charged, unless the author says 0. */
function toCharge(charged: ValueOf<typeof quota>): QuotaCharge {
  if (!charged.has("quota")) charged.at().error("must have a quota");
  return { quota: charged.quota ?? "", charge: charged.charge ?? 1 };
}
