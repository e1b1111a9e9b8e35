/** Whether callers have to prove who they are. Spec table: manager 7. */
import type { WorkloadTarget } from "./workload-target.ts";

/** UNSET: as the next wider object says. */
export type MutualTlsMode = "UNSET" | "DISABLE" | "PERMISSIVE" | "STRICT";

export interface PeerAuthentication extends WorkloadTarget {
  readonly mode: MutualTlsMode;
  /** By the port of the workload, "8080". */
  readonly ports: Readonly<Record<string, MutualTlsMode>>;
}
