/** `kind: QuotaSpec`: which quotas a request takes from, and how much. Spec table: mixer 2.7. */
import type { QuotaCharge, QuotaSpec, StringMatch } from "../../model/quota-spec.ts";
import { list, mapOf, message, type Reader, toRecord, type ValueOf } from "../schema/message.ts";
import type { Place } from "../schema/place.ts";
import { integer, text } from "../schema/scalar.ts";

const written = message({ exact: text, prefix: text, regex: text });

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
  quota: text,
  charge: integer({ least: 0, most: Number.MAX_SAFE_INTEGER }),
});

const fields = message({
  rules: list(
    message({ match: list(message({ clause: mapOf(stringMatch) })), quotas: list(quota) }),
  ),
});

/** Undefined after the problems have been reported. */
export function readQuotaSpec(place: Place): QuotaSpec | undefined {
  const spec = fields(place);
  if (spec === undefined) return undefined;
  if (!spec.has("rules")) spec.at().error("must have rules");
  return {
    rules: (spec.rules ?? []).map(({ match = [], quotas = [] }) => ({
      match: match.map(({ clause }) => toRecord(clause)),
      quotas: quotas.map(toCharge),
    })),
  };
}

/** A quota that is named is charged, unless the author says 0. */
function toCharge(charged: ValueOf<typeof quota>): QuotaCharge {
  if (!charged.has("quota")) charged.at().error("must have a quota");
  else if (charged.quota === "") charged.at("quota").error("must not be empty");
  return { quota: charged.quota ?? "", charge: charged.charge ?? 1 };
}
