/** How much an engine has to do at this moment. */
import type { AcceptedConnection } from "./listener/downstream-owner.ts";
import type { ConnectionPool } from "./upstream/pool.ts";

export interface EngineStats {
  readonly downstreamConnections: number;
  /** Requests under way. */
  readonly exchanges: number;
  readonly upstreamConnections: number;
  readonly upstreamIdle: number;
  /** Received, and not yet taken by a client that reads slowly or not at all. */
  readonly bytesWaiting: number;
  readonly draining: boolean;
}

export function engineStats(
  connections: ReadonlySet<AcceptedConnection>,
  pools: ReadonlySet<ConnectionPool>,
  draining: boolean,
): EngineStats {
  let exchanges = 0;
  let bytesWaiting = 0;
  for (const connection of connections) {
    exchanges += connection.exchanges;
    bytesWaiting += connection.waiting;
  }
  let open = 0;
  let idle = 0;
  for (const pool of pools) {
    open += pool.open;
    idle += pool.idle;
  }
  return {
    downstreamConnections: connections.size,
    exchanges,
    upstreamConnections: open,
    upstreamIdle: idle,
    bytesWaiting,
    draining,
  };
}
