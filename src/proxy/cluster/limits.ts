/**
 * Circuit breaking: how much of a cluster, and of each of its endpoints, may be in use at once. The
 * counts belong to the cluster's name and survive a change of configuration; the maxima belong to
 * one configuration. Every acquire that returned true is released exactly once, with the same
 * endpoint; a refusal is counted and is answered UO. Without an endpoint the cluster alone counts.
 */
import { assert } from "../../core/assert.ts";
import type { ClusterStats } from "./cluster-stats.ts";
import type { Endpoint } from "./endpoint.ts";
import { isWithinBudget, type RetryBudgetPolicy, type RetryWindow } from "./retry-budget.ts";

export class Usage {
  connections = 0;
  /** Requests that wait for a connection. */
  pending = 0;
  requests = 0;
  retries = 0;
  /** Tries begun, ever: whether there was traffic meanwhile. */
  tries = 0;
  /** Called once no connection is open any more; set when nothing new can come. */
  onUnused: (() => void) | undefined = undefined;
  readonly retryWindow: RetryWindow;

  constructor(retryWindow: RetryWindow) {
    this.retryWindow = retryWindow;
  }
}

export interface Maxima {
  readonly connections: number;
  readonly pending: number;
  readonly requests: number;
  readonly retries: number;
  /** Exchanges after which a connection is closed. */
  readonly requestsPerConnection: number;
  /** Of each endpoint; absent: none. */
  readonly perEndpoint?: EndpointMaxima;
  /** Instead of `retries`. */
  readonly retryBudget?: RetryBudgetPolicy;
}

export interface EndpointMaxima {
  readonly connections: number;
  readonly pending: number;
  readonly requests: number;
  readonly retries: number;
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

  tryAcquireConnection(endpoint?: Endpoint): boolean {
    const { perEndpoint } = this.max;
    const isFull =
      this.usage.connections >= this.max.connections ||
      (endpoint !== undefined &&
        perEndpoint !== undefined &&
        endpoint.connections >= perEndpoint.connections);
    if (isFull) {
      this.#stats.series.connectionOverflow.increment();
      return false;
    }
    this.usage.connections++;
    if (endpoint !== undefined) endpoint.connections++;
    this.#stats.series.connectionsActive.increment();
    this.#stats.series.connections.increment();
    return true;
  }

  releaseConnection(endpoint?: Endpoint): void {
    assert(this.usage.connections > 0, "a connection is released as often as it is acquired");
    this.usage.connections--;
    if (endpoint !== undefined) endpoint.connections--;
    this.#stats.series.connectionsActive.decrement();
    if (this.usage.connections === 0 && this.usage.onUnused !== undefined) this.usage.onUnused();
  }

  tryAcquirePending(endpoint?: Endpoint): boolean {
    const { perEndpoint } = this.max;
    const isFull =
      this.usage.pending >= this.max.pending ||
      (endpoint !== undefined &&
        perEndpoint !== undefined &&
        endpoint.pending >= perEndpoint.pending);
    if (isFull) {
      this.#stats.series.pendingOverflow.increment();
      return false;
    }
    this.usage.pending++;
    if (endpoint !== undefined) endpoint.pending++;
    this.#stats.series.pendingActive.increment();
    return true;
  }

  releasePending(endpoint?: Endpoint): void {
    assert(this.usage.pending > 0, "a wait is released as often as it is acquired");
    this.usage.pending--;
    if (endpoint !== undefined) endpoint.pending--;
    this.#stats.series.pendingActive.decrement();
  }

  /** Exchanges of the endpoint are counted by Cluster.begin(): to be called before it. */
  tryAcquireRequest(endpoint?: Endpoint): boolean {
    const isFull =
      this.usage.requests >= this.max.requests ||
      (endpoint !== undefined && endpoint.active >= endpoint.requestsMax);
    if (isFull) {
      this.#stats.series.pendingOverflow.increment();
      return false;
    }
    this.usage.requests++;
    const budget = this.max.retryBudget;
    if (budget !== undefined && budget.intervalMs > 0) {
      this.usage.retryWindow.advance(budget.intervalMs);
      this.usage.retryWindow.tried();
    }
    this.#stats.series.requestsActive.increment();
    this.#stats.series.requests.increment();
    return true;
  }

  releaseRequest(): void {
    assert(this.usage.requests > 0, "a request is released as often as it is acquired");
    this.usage.requests--;
    this.#stats.series.requestsActive.decrement();
  }

  /** `endpoint`: the one that failed, whose retries are limited too. */
  tryAcquireRetry(endpoint?: Endpoint): boolean {
    if (!this.#mayRetry(endpoint)) {
      this.#stats.series.retryOverflow.increment();
      return false;
    }
    this.usage.retries++;
    if (endpoint !== undefined) endpoint.retries++;
    this.#stats.series.retries.increment();
    return true;
  }

  releaseRetry(endpoint?: Endpoint): void {
    assert(this.usage.retries > 0, "a retry is released as often as it is acquired");
    this.usage.retries--;
    if (endpoint !== undefined) endpoint.retries--;
  }

  #mayRetry(endpoint: Endpoint | undefined): boolean {
    const { perEndpoint, retryBudget, retries } = this.max;
    if (endpoint !== undefined && perEndpoint !== undefined)
      if (endpoint.retries >= perEndpoint.retries) return false;
    if (retryBudget === undefined) return this.usage.retries < retries;
    const { retryWindow } = this.usage;
    if (retryBudget.intervalMs > 0) retryWindow.advance(retryBudget.intervalMs);
    if (!isWithinBudget(retryBudget, retryWindow, this.usage)) return false;
    if (retryBudget.intervalMs > 0) retryWindow.retried();
    return true;
  }
}
