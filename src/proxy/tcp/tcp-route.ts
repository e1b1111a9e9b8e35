/** Where connections go that are passed on as they are, compiled: every name is a reference. */
import type { Cluster } from "../cluster/cluster.ts";
import { WeightedClusters } from "../route/weighted-clusters.ts";

export interface TcpRoute {
  /** For operators: appears in the access log. */
  readonly name: string;
  /** Who wrote it: "RouteRule/default/canary (rules/a.yaml:3)"; may be empty. */
  readonly origin: string;
  readonly clusters: WeightedClusters;
  /** Without a byte in either direction; 0: as the proxy's limits say. */
  readonly idleMs: number;
  /** The version of the PROXY protocol that the upstream is greeted with; 0: none. */
  readonly proxyProtocol: 0 | 1 | 2;
}

/** Everything to one cluster: an application's, or that of destinations nobody knows. */
export function fixedTcpRoute(name: string, cluster: Cluster): TcpRoute {
  const clusters = new WeightedClusters([{ cluster, weight: 1 }]);
  return { name, origin: "", clusters, idleMs: 0, proxyProtocol: 0 };
}
