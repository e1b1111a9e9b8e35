/**
 * One address of a cluster, and what the proxy knows of it. An endpoint outlives the snapshots that
 * name it: the same address and port in the cluster of the same name is the same object, so its
 * connections, its load and its record of errors survive a change of configuration.
 */
import type { ForeignSource } from "../../io/foreign-source.ts";
import type { RequestStats } from "./request-stats.ts";

/** What the data plane hangs on an endpoint; told once when the endpoint has gone. */
export interface EndpointPool {
  /** No new exchange will come; those that run may finish. */
  drain(): void;
}

/** "pending": to be checked before its first use. "unchecked": nobody asked for checks. */
export type CheckedHealth = "unchecked" | "pending" | "healthy" | "unhealthy";

/** Never reached. */
const REQUESTS_MAX = 0x3fff_ffff;

export interface EndpointFacts {
  readonly labels: Readonly<Record<string, string>>;
  /** The workload's id, for operators. */
  readonly workload: string;
  /** "region/zone/subzone" */
  readonly locality: string;
  /** Its proxy takes many connections in one. */
  readonly meshTransport: boolean;
  /** The SPIFFE id that its proxy has to prove; "": none, it is called in plaintext. */
  readonly identity: string;
  /** Whose address it is called from, behind TPROXY. */
  readonly from?: ForeignSource | undefined;
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
  /** Above 0; of a list of endpoints, 1 for others. */
  weight = 1;
  /** Exchanges under way; kept by Cluster.begin() and Cluster.end(). */
  active = 0;
  /** Of the cluster's limits for each endpoint (limits.ts). */
  requestsMax = REQUESTS_MAX;
  connections = 0;
  /** Requests that wait for a connection to it. */
  pending = 0;
  retries = 0;
  /** Out of rotation because of errors in traffic; see outlier.ts. */
  ejected = false;
  /** What health checks say of it; see health/. */
  check: CheckedHealth = "unchecked";
  /** No cluster names it any more. */
  removed = false;
  /** Clock.nowMs() at which it came, or was found healthy again: slow start counts from here. */
  inRotationMs = 0;
  /** Errors in a row: answers of 5xx, of them 502 to 504, and connections that failed. */
  consecutiveErrors = 0;
  consecutiveGatewayErrors = 0;
  consecutiveLocalFailures = 0;
  /** Outcomes in the interval under way, where ejection is by rates. */
  outcomes = 0;
  successes = 0;
  timesEjected = 0;
  /** Clock.nowMs() of its last return after an ejection. */
  returnedMs = 0;
  /** Of the balancer by peak EWMA: -1 is not measured yet. Times are Clock.nowMs(). */
  rttMs = -1;
  rttAtMs = 0;
  penaltyMs = 0;
  penaltyAtMs = 0;

  constructor(at: { address: string; port: number }, facts: EndpointFacts, stats: RequestStats) {
    this.address = at.address;
    this.port = at.port;
    this.authority = at.address.includes(":")
      ? `[${at.address}]:${at.port}`
      : `${at.address}:${at.port}`;
    this.facts = facts;
    this.stats = stats;
  }

  /** Nothing speaks against it. */
  get inRotation(): boolean {
    return !this.ejected && this.check !== "unhealthy" && this.check !== "pending";
  }

  /** Tells the pool, once. */
  remove(): void {
    if (this.removed) return;
    this.removed = true;
    this.pool?.drain();
  }
}
