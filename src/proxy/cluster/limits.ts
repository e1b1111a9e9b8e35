/**
 * Circuit breaking: how much of a cluster may be in use at once. The counts belong to the cluster's
 * name and survive a change of configuration; the maxima belong to one configuration. Every acquire
 * that returned true is released exactly once; a refusal is counted and is answered UO.
 */
import { assert } from "../../core/assert.ts";
import type { ClusterStats } from "./cluster-stats.ts";

export class Usage {
  connections = 0;
  /** Requests that wait for a connection. */
  pending = 0;
  requests = 0;
  retries = 0;
  /** Called once no connection is open any more; set when nothing new can come. */
  onUnused: (() => void) | undefined = undefined;
}

export interface Maxima {
  readonly connections: number;
  readonly pending: number;
  readonly requests: number;
  readonly retries: number;
  /** Exchanges after which a connection is closed. */
  readonly requestsPerConnection: number;
}

export const UNLIMITED = 0x3fff_ffff;

export class Limits {
  readonly max: Maxima;
  readonly usage: Usage;
  readonly #stats: ClusterStats;

  constructor(max: Maxima, usage: Usage, stats: ClusterStats) {
    this.max = max;
    this.usage = usage;
    this.#stats = stats;
  }

  tryAcquireConnection(): boolean {
    if (this.usage.connections >= this.max.connections) {
      this.#stats.series.connectionOverflow.increment();
      return false;
    }
    this.usage.connections++;
    this.#stats.series.connectionsActive.increment();
    this.#stats.series.connections.increment();
    return true;
  }

  releaseConnection(): void {
    assert(this.usage.connections > 0, "a connection is released as often as it is acquired");
    this.usage.connections--;
    this.#stats.series.connectionsActive.decrement();
    if (this.usage.connections === 0 && this.usage.onUnused !== undefined) this.usage.onUnused();
  }

  tryAcquirePending(): boolean {
    if (this.usage.pending >= this.max.pending) {
      this.#stats.series.pendingOverflow.increment();
      return false;
    }
    this.usage.pending++;
    this.#stats.series.pendingActive.increment();
    return true;
  }

  releasePending(): void {
    assert(this.usage.pending > 0, "a wait is released as often as it is acquired");
    this.usage.pending--;
    this.#stats.series.pendingActive.decrement();
  }

  tryAcquireRequest(): boolean {
    if (this.usage.requests >= this.max.requests) {
      this.#stats.series.pendingOverflow.increment();
      return false;
    }
    this.usage.requests++;
    this.#stats.series.requestsActive.increment();
    this.#stats.series.requests.increment();
    return true;
  }

  releaseRequest(): void {
    assert(this.usage.requests > 0, "a request is released as often as it is acquired");
    this.usage.requests--;
    this.#stats.series.requestsActive.decrement();
  }

  tryAcquireRetry(): boolean {
    if (this.usage.retries >= this.max.retries) {
      this.#stats.series.retryOverflow.increment();
      return false;
    }
    this.usage.retries++;
    this.#stats.series.retries.increment();
    return true;
  }

  releaseRetry(): void {
    assert(this.usage.retries > 0, "a retry is released as often as it is acquired");
    this.usage.retries--;
  }
}
