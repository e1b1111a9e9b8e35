/** LocalityLbSetting and ZoneAwareLbSetting: which places come first. Spec table: manager 1.14. */
import type { LocalitySetting } from "../../model/destination-rule.ts";
import { list, mapOf, message, type Reader, toRecord, type ValueOf } from "../schema/message.ts";
import type { Place } from "../schema/place.ts";
import { flag, integer, text } from "../schema/scalar.ts";

const failover = list(message({ from: text, to: text }));
const failoverPriority = list(text);

const shape = message({
  distribute: list(message({ from: text, to: mapOf(integer({ least: 1, most: 100 })) })),
  failover,
  failoverPriority,
  enabled: flag,
});
type Written = NonNullable<ValueOf<typeof shape>>;

export const locality: Reader<Written> = (place) => {
  const setting = shape(place);
  if (setting === undefined) return undefined;
  const given = (["distribute", "failover"] as const).filter((field) => setting.has(field));
  if (given.length > 1) setting.at("failover").error("must not stand beside distribute");
  if (setting.has("distribute") && setting.has("failoverPriority"))
    setting.at("failoverPriority").error("must not stand beside distribute");
  checkDistribute(setting);
  checkFailover(setting);
  if (setting.has("failoverPriority"))
    setting.at("failoverPriority").warn("has no effect yet: the nearest come first");
  return setting;
};

const zoneShape = message({ failover, failoverPriority, enabled: flag, forceLocalZone: flag });

const topology = /^topology\.(kubernetes\.io|istio\.io)\//;

/** Judged, and left out with a warning. */
export const zoneAware: Reader<never> = (place) => {
  const setting = zoneShape(place);
  if (setting === undefined) return undefined;
  checkFailover(setting);
  const labels = setting.failoverPriority ?? [];
  for (const label of labels)
    if (/\/(zone|subzone)\b/.test(label))
      setting.at("failoverPriority").error(`"${label}" must not be narrower than a region`);
  if (setting.has("failover") && labels.some((label) => topology.test(label)))
    setting.at("failoverPriority").error("must not name regions beside failover");
  place.warn("has no effect yet");
  return undefined;
};

export function toLocality({ enabled, failover: over, distribute }: Written): LocalitySetting {
  return {
    enabled: enabled ?? true,
    failover: (over ?? []).map(({ from = "", to = "" }) => ({ from, to })),
    distribute: (distribute ?? []).map(({ from = "", to }) => ({ from, to: toRecord(to) })),
  };
}

function checkDistribute(setting: Written): void {
  const rules = setting.distribute ?? [];
  checkPlaces(
    setting.at("distribute"),
    rules.map(({ from = "" }) => from),
  );
  for (const rule of rules) {
    const parts = rule.to ?? [];
    checkPlaces(
      rule.at("to"),
      parts.map(({ key }) => key),
    );
    const total = parts.reduce((sum, { value }) => sum + value, 0);
    if (total !== 100) rule.at("to").error(`must add up to 100, not ${total}`);
  }
}

interface WithFailover {
  readonly failover?: Written["failover"];
}

function checkFailover({ failover: rules = [] }: WithFailover): void {
  for (const rule of rules) {
    const { from = "", to = "" } = rule;
    for (const [field, region] of [["from", from] as const, ["to", to] as const])
      if (region === "" || /[*/]/.test(region))
        rule.at(field).error("must be the name of a region");
    if (from === to) rule.at("to").error("must be another region");
  }
}

const placePattern = /^(\*|[^*/]+(\/[^*/]+){0,2}|[^*/]+(\/[^*/]+)?\/\*)$/;

/** Each is compared with each. */
const placesMax = 200;

/** Each well formed, and none within another. */
function checkPlaces(place: Place, names: readonly string[]): void {
  if (names.length > placesMax) return place.error(`may be ${placesMax} at most`);
  for (const [i, name] of names.entries()) {
    if (!placePattern.test(name)) place.error(`"${name}" is not a place: region/zone/subzone or *`);
    const other = names.find((one, k) => k !== i && isWithin(name, one));
    if (other !== undefined) place.error(`"${name}" is within "${other}"`);
  }
}

function isWithin(narrow: string, wide: string): boolean {
  if (wide === "*" || narrow === wide) return true;
  const prefix = wide.endsWith("/*") ? wide.slice(0, -1) : `${wide}/`;
  return narrow.startsWith(prefix);
}
