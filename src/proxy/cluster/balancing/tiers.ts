/**
 * How traffic falls through priorities as endpoints fail, and when failing is ignored. As Envoy:
 *
 * - A priority is good for 140 % of its healthy part: with 72 % healthy it still takes everything,
 *   and below that the next one takes what is missing.
 * - If all together are good for less than everything, a priority whose healthy part is below the
 *   panic threshold uses all its endpoints: when most look bad, the check may be what is bad, and
 *   the few that are left would be overrun.
 */
const OVERPROVISIONING = 1.4;

export interface TierHealth {
  readonly healthy: number;
  readonly members: number;
}

export interface TierShare {
  /** 0..100; those of all tiers add up to 100, or 0 if nobody is there at all. */
  readonly percent: number;
  /** Uses everybody, healthy or not. */
  readonly panics: boolean;
}

/** `panicPercent` 0: no panic. */
export function sharesOf(tiers: readonly TierHealth[], panicPercent: number): TierShare[] {
  const capacity = tiers.map(({ healthy, members }) =>
    members === 0 ? 0 : Math.min(100, Math.floor((100 * OVERPROVISIONING * healthy) / members)),
  );
  const total = Math.min(
    100,
    capacity.reduce((sum, one) => sum + one, 0),
  );
  const panics = tiers.map(
    ({ healthy, members }) => total < 100 && members > 0 && healthy * 100 < panicPercent * members,
  );
  const occupied = tiers.filter(({ members }) => members > 0).length;
  if (occupied === 0) return tiers.map(() => ({ percent: 0, panics: false }));
  if (panics.filter(Boolean).length === occupied) return byMembers(tiers);
  if (total === 0) return tiers.map(() => ({ percent: 0, panics: false }));
  return byCapacity(capacity, total).map((percent, i) => ({ percent, panics: panics[i]! }));
}

/** Everybody panics: each priority gets what its size is of all. */
function byMembers(tiers: readonly TierHealth[]): TierShare[] {
  const all = tiers.reduce((sum, { members }) => sum + members, 0);
  return tiers.map(({ members }) => ({ percent: (100 * members) / all, panics: members > 0 }));
}

/** The first takes what it can, the next what is left. */
function byCapacity(capacity: readonly number[], total: number): number[] {
  let left = 100;
  return capacity.map((own) => {
    const percent = Math.min(left, (own * 100) / total);
    left -= percent;
    return percent;
  });
}
