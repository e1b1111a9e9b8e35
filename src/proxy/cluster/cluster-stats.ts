/**
 * What operators ask about one cluster, under the names that Envoy's users know. All series of a
 * cluster are made together when it is first used: a mesh has many that a proxy never calls.
 */
import type { Counter, Gauge, Labels, MetricScope, Together } from "../../telemetry/metrics.ts";
import { MethodStats } from "../grpc/method-stats.ts";
import type { EjectionCause } from "./outlier.ts";

export interface ClusterSeries {
  readonly connections: Counter;
  readonly connectionsActive: Gauge;
  readonly connectFailures: Counter;
  readonly connectTimeouts: Counter;
  readonly connectionOverflow: Counter;
  readonly requests: Counter;
  readonly requestsActive: Gauge;
  readonly requestTimeouts: Counter;
  readonly perTryTimeouts: Counter;
  readonly pendingActive: Gauge;
  readonly pendingOverflow: Counter;
  readonly retries: Counter;
  readonly retriesSucceeded: Counter;
  readonly retryOverflow: Counter;
  readonly noneHealthy: Counter;
  readonly ejections: Counter;
  readonly ejectionsActive: Gauge;
  readonly ejectionOverflow: Counter;
  readonly membershipTotal: Gauge;
  readonly membershipHealthy: Gauge;
}

/** Of clusters that ask for health checks. */
export interface HealthSeries {
  readonly attempts: Counter;
  readonly successes: Counter;
  readonly failures: Counter;
  readonly networkFailures: Counter;
  readonly healthy: Gauge;
}

export class ClusterStats {
  readonly #cluster: string;
  readonly #scope: MetricScope;
  #series: ClusterSeries | undefined;
  #methods: MethodStats | undefined;
  #healthSeries: HealthSeries | undefined;
  #hedgeSeries: { readonly hedges: Counter; readonly won: Counter } | undefined;
  #members = 0;
  #healthy = 0;

  constructor(cluster: string, scope: MetricScope) {
    this.#cluster = cluster;
    this.#scope = scope;
  }

  /** The slots to count in. */
  get series(): ClusterSeries {
    return this.#series ?? this.#make();
  }

  get healthSeries(): HealthSeries {
    this.#healthSeries ??= {
      attempts: this.#counter("health_check_attempt", "Health checks."),
      successes: this.#counter("health_check_success", "Health checks that passed."),
      failures: this.#counter("health_check_failure", "Health checks that did not pass."),
      networkFailures: this.#counter(
        "health_check_network_failure",
        "Health checks without an answer in time.",
      ),
      healthy: this.#gauge(
        "health_check_healthy",
        "Endpoints that pass their health checks.",
        "min",
      ),
    };
    return this.#healthSeries;
  }

  /** Ejections for one cause: made when there is the first, they are rare. */
  ejectedBy(cause: EjectionCause): Counter {
    return this.#counter(
      `outlier_detection_ejections_enforced_${cause}`,
      `Endpoints ejected: ${cause.replaceAll("_", " ")}.`,
    );
  }

  /** Tries that went on beside the next one, and those of them that answered first. */
  get hedgeSeries(): { readonly hedges: Counter; readonly won: Counter } {
    this.#hedgeSeries ??= {
      hedges: this.#counter("upstream_rq_hedge", "Tries that went on beside the next one."),
      won: this.#counter("upstream_rq_hedge_won", "Those of them that answered first."),
    };
    return this.#hedgeSeries;
  }

  /** Calls of gRPC by method. */
  get methods(): MethodStats {
    this.#methods ??= new MethodStats(this.#cluster, this.#scope);
    return this.#methods;
  }

  /** Remembered until the first use of the cluster. */
  membership(members: number, healthy: number): void {
    this.#members = members;
    this.#healthy = healthy;
    this.#series?.membershipTotal.set(members);
    this.#series?.membershipHealthy.set(healthy);
  }

  #make(): ClusterSeries {
    const counter = (name: string, help: string): Counter => this.#counter(name, help);
    const gauge = (name: string, help: string): Gauge => this.#gauge(name, help);
    this.#series = {
      connections: counter("upstream_cx_total", "Connections opened."),
      connectionsActive: gauge("upstream_cx_active", "Open connections."),
      connectFailures: counter("upstream_cx_connect_fail", "Failed connection attempts."),
      connectTimeouts: counter("upstream_cx_connect_timeout", "Connection attempts timed out."),
      connectionOverflow: counter("upstream_cx_overflow", "Connections refused by the limit."),
      requests: counter("upstream_rq_total", "Requests sent, retries included."),
      requestsActive: gauge("upstream_rq_active", "Requests under way."),
      requestTimeouts: counter("upstream_rq_timeout", "Requests that ran out of time."),
      perTryTimeouts: counter("upstream_rq_per_try_timeout", "Tries that ran out of time."),
      pendingActive: gauge("upstream_rq_pending_active", "Requests waiting for a connection."),
      pendingOverflow: counter("upstream_rq_pending_overflow", "Requests refused by a limit."),
      retries: counter("upstream_rq_retry", "Retries."),
      retriesSucceeded: counter("upstream_rq_retry_success", "Retries that succeeded."),
      retryOverflow: counter("upstream_rq_retry_overflow", "Retries refused by the limit."),
      noneHealthy: counter("upstream_cx_none_healthy", "No endpoint was there to choose."),
      ejections: counter("outlier_detection_ejections_enforced_total", "Endpoints ejected."),
      ejectionsActive: this.#gauge(
        "outlier_detection_ejections_active",
        "Endpoints ejected now.",
        "max",
      ),
      ejectionOverflow: counter(
        "outlier_detection_ejections_overflow",
        "Ejections not made because of the maximum.",
      ),
      membershipTotal: this.#gauge("membership_total", "Endpoints.", "max"),
      membershipHealthy: this.#gauge("membership_healthy", "Endpoints in rotation.", "min"),
    };
    this.membership(this.#members, this.#healthy);
    return this.#series;
  }

  #counter(name: string, help: string): Counter {
    return this.#scope.counter(`envoy_cluster_${name}`, help, this.#labels);
  }

  /** Each thread sees all endpoints, and judges them for itself: the most cautious one counts. */
  #gauge(name: string, help: string, together: Together = "sum"): Gauge {
    return this.#scope.gauge(`envoy_cluster_${name}`, help, this.#labels, together);
  }

  get #labels(): Labels {
    return { envoy_cluster_name: this.#cluster };
  }
}
