/** A route that nobody wrote: everything to one cluster, as it came. */
import type { Cluster } from "../cluster/cluster.ts";
import type { Route } from "../route/route.ts";
import { WeightedClusters } from "../route/weighted-clusters.ts";

export function fixedRoute(name: string, cluster: Cluster): Route {
  return {
    name,
    origin: "",
    action: { at: "forward", clusters: new WeightedClusters([{ cluster, weight: 1 }]) },
    rewrite: undefined,
    timeoutMs: 0,
    timeoutIsDefault: true,
    retry: undefined,
    fault: undefined,
    mirror: undefined,
    cors: undefined,
    requestFields: new Uint8Array(0),
    websocket: true,
  };
}
