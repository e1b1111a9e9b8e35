/** Which rules and policies speak of a caller. Spec table: manager 1.6. */
import type { ServiceRef } from "../../model/route-rule.ts";
import { isSubset, type Labels } from "./labels.ts";

/** What of a proxy its configuration depends on. */
export interface NodeView {
  /** Full host name of the service that it stands for; empty: none. */
  readonly service: string;
  readonly namespace: string;
  readonly labels: Labels;
  /** Absent: a sidecar. */
  readonly mode?: "sidecar" | "gateway" | "mixer";
}

/** A source without host means any service; its labels must be among the caller's. */
export function isSource(source: ServiceRef | undefined, node: NodeView): boolean {
  if (source === undefined) return true;
  if (source.host !== "" && source.host !== node.service) return false;
  return isSubset(source.labels, node.labels);
}
