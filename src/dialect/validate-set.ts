/**
 * What can only be seen across objects: names used twice, rules that can never be reached,
 * destinations that nobody knows, policies on versions that nothing routes to.
 */
import type { Problem } from "../core/problem.ts";
import type { Config } from "../model/config.ts";

export interface Known {
  /** Full host names of the registries. Absent: unknown, so that no reference is judged. */
  readonly hosts?: ReadonlySet<string>;
}

/** Problems between the objects of one whole set (what is stored, with what is being put). */
export function validateSet(configs: readonly Config[], known: Known): readonly Problem[] {
  void configs;
  void known;
  return [];
}
