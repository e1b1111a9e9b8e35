/**
 * From what the manager sent to what the data plane follows: every name is resolved once, and every
 * problem is reported, all at once. The caller keeps its last good snapshot where there are any.
 */
import type { ProxyConfig } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import type { Clock } from "../../core/clock.ts";
import type { Problem } from "../../core/problem.ts";
import type { Random } from "../../core/random.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { ResolveName } from "../cluster/name-members.ts";
import type { Snapshot } from "./snapshot.ts";

export interface CompileParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: Metrics;
  readonly resolve: ResolveName;
  /** Whose proxy this is, for metrics: the local service and its version; may be "". */
  readonly source: { readonly service: string; readonly version: string };
  /** What is published now; its clusters and endpoints are taken over. */
  readonly former: Snapshot | undefined;
}

export function compileSnapshot(_config: ProxyConfig, _parts: CompileParts): Snapshot | Problem[] {
  return [];
}
