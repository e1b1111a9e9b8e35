/**
 * One address of a cluster, and what the proxy knows of it. An endpoint outlives the snapshots that
 * name it: the same address and port in the cluster of the same name is the same object, so its
 * connections, its load and its record of errors survive a change of configuration.
 */
import type { RequestStats } from "./request-stats.ts";

/** What the data plane hangs on an endpoint; told once when the endpoint has gone. */
export interface EndpointPool {
  /** No new exchange will come; those that run may finish. */
  drain(): void;
}

export interface EndpointFacts {
  readonly labels: Readonly<Record<string, string>>;
  /** The workload's id, for operators. */
  readonly workload: string;
  /** "region/zone/subzone" */
  readonly locality: string;
  /** Its proxy takes many connections in one. */
  readonly meshTransport: boolean;
}

export class Endpoint {
  /** IP address, or a host name that the connector resolves. */
  readonly address: string;
  readonly port: number;
  /** "10.0.0.1:9080", for logs; never parsed. */
  readonly authority: string;
  facts: EndpointFacts;
  /** Requests, durations and bytes of its service and version. */
  stats: RequestStats;
  /** Belongs to the data plane. */
  pool: EndpointPool | undefined = undefined;
  /** Exchanges under way; kept by Cluster.begin() and Cluster.end(). */
  active = 0;
  /** Out of rotation because of errors; see outlier.ts. */
  ejected = false;
  /** No cluster names it any more. */
  removed = false;
  consecutiveErrors = 0;
  timesEjected = 0;
  /** Clock.nowMs() of its last return into rotation. */
  returnedMs = 0;

  constructor(at: { address: string; port: number }, facts: EndpointFacts, stats: RequestStats) {
    this.address = at.address;
    this.port = at.port;
    this.authority = at.address.includes(":")
      ? `[${at.address}]:${at.port}`
      : `${at.address}:${at.port}`;
    this.facts = facts;
    this.stats = stats;
  }

  /** Tells the pool, once. */
  remove(): void {
    if (this.removed) return;
    this.removed = true;
    this.pool?.drain();
  }
}
