/**
 * Which endpoints are near: "region/zone/subzone" compared with the proxy's own. Near ones come
 * first, and those further away take over as near ones fail (tiers.ts); or the operator says which
 * part of the traffic goes where. As Istio does it (localityLbSetting).
 */

export interface LocalityPolicy {
  /** Where endpoints of a region are to be replaced from, before all other regions. */
  readonly failover: readonly { readonly from: string; readonly to: string }[];
  /** Parts of the traffic; the first whose `from` fits the proxy holds. Empty: nearest first. */
  readonly distribute: readonly Distribution[];
}

export interface Distribution {
  /** "region/zone/*", "*" */
  readonly from: string;
  /** Place → its part. */
  readonly to: readonly { readonly place: string; readonly weight: number }[];
}

/** 0: the same subzone, 1: the same zone, 2: the same region, 3: the region named, 4: others. */
export function priorityOf(own: string, other: string, policy: LocalityPolicy): number {
  const [region, zone, subzone] = partsOf(own);
  const [otherRegion, otherZone, otherSubzone] = partsOf(other);
  if (region !== otherRegion) {
    const named = policy.failover.some(({ from, to }) => from === region && to === otherRegion);
    return named ? 3 : 4;
  }
  if (zone !== otherZone) return 2;
  return subzone === otherSubzone ? 0 : 1;
}

/** The parts that hold for a proxy at `own`; undefined: nearest first. */
export function distributionFor(own: string, policy: LocalityPolicy): Distribution | undefined {
  return policy.distribute.find(({ from }) => isWithin(own, from));
}

/** Whether a place is meant by "*", "region", "region/*", "region/zone/*" or its own name. */
export function isWithin(place: string, pattern: string): boolean {
  if (pattern === "*" || pattern === place) return true;
  const prefix = pattern.endsWith("/*") ? pattern.slice(0, -2) : pattern;
  return place === prefix || place.startsWith(`${prefix}/`);
}

function partsOf(locality: string): readonly [string, string, string] {
  const [region = "", zone = "", subzone = ""] = locality.split("/");
  return [region, zone, subzone];
}
