/**
 * Who belongs to a cluster, and who of them is in rotation. It lives as long as the cluster's name:
 * a new configuration, a DNS answer, an ejection or a return changes it in place, so exchanges that
 * run see it at once.
 *
 *   in rotation ── errors in a row, within the maximum ──▶ ejected
 *        ▲                                                    │
 *        └────────── base × times ejected has passed ─────────┘
 *
 * With everybody ejected all are in rotation: some answer is better than none (Envoy's panic).
 */
import type { Clock } from "../../core/clock.ts";
import type { ClusterStats } from "./cluster-stats.ts";
import { Endpoint, type EndpointFacts } from "./endpoint.ts";
import { type LoadBalancer, placesOf } from "./load-balancer.ts";
import { ejectionMs, mayEject, type OutlierPolicy } from "./outlier.ts";
import type { RequestStats } from "./request-stats.ts";

/** One line of an endpoint set or of a DNS answer. */
export interface EndpointSpec extends EndpointFacts {
  readonly address: string;
  readonly port: number;
  readonly weight: number;
}

export interface MembershipParts {
  readonly clock: Clock;
  readonly stats: ClusterStats;
  readonly statsOf: (version: string) => RequestStats;
}

export class Membership {
  readonly #parts: MembershipParts;
  readonly #byAuthority = new Map<string, Endpoint>();
  readonly #weights = new Map<Endpoint, number>();
  /** Running waits for a return; called to give one up. */
  readonly #returns = new Map<Endpoint, () => void>();
  #endpoints: readonly Endpoint[] = [];
  #balancer: LoadBalancer;
  #outlier: OutlierPolicy | undefined;

  constructor(parts: MembershipParts, balancer: LoadBalancer, outlier: OutlierPolicy | undefined) {
    this.#parts = parts;
    this.#balancer = balancer;
    this.#outlier = outlier;
  }

  get endpoints(): readonly Endpoint[] {
    return this.#endpoints;
  }

  get ejected(): number {
    return this.#returns.size;
  }

  weightOf(endpoint: Endpoint): number {
    return this.#weights.get(endpoint) ?? 0;
  }

  /** Another configuration of the same cluster. */
  configure(balancer: LoadBalancer, outlier: OutlierPolicy | undefined): void {
    this.#balancer = balancer;
    this.#outlier = outlier;
    if (outlier === undefined) for (const endpoint of this.#returns.keys()) this.#restore(endpoint);
    this.#rotate();
  }

  /** Endpoints of the same address and port stay; those that are not named any more are removed. */
  replace(specs: readonly EndpointSpec[]): void {
    const endpoints: Endpoint[] = [];
    const kept = new Set<Endpoint>();
    this.#weights.clear();
    for (const spec of specs) {
      const endpoint = this.#endpointFor(spec);
      if (kept.has(endpoint)) continue;
      kept.add(endpoint);
      endpoints.push(endpoint);
      this.#weights.set(endpoint, Math.max(1, spec.weight));
    }
    const gone = this.#endpoints.filter((endpoint) => !kept.has(endpoint));
    this.#endpoints = endpoints;
    for (const endpoint of gone) {
      this.#byAuthority.delete(endpoint.authority);
      this.#restore(endpoint);
    }
    this.#rotate();
    for (const endpoint of gone) endpoint.remove();
  }

  pick(avoid: Endpoint | undefined): Endpoint | undefined {
    return this.#balancer.pick(avoid);
  }

  /** A 5xx, a failed connection, a reset or a timeout. */
  failed(endpoint: Endpoint): void {
    const policy = this.#outlier;
    if (policy === undefined || endpoint.ejected || endpoint.removed) return;
    endpoint.consecutiveErrors++;
    if (endpoint.consecutiveErrors < policy.consecutiveErrors) return;
    if (mayEject(policy, this.#returns.size, this.#endpoints.length)) this.#eject(endpoint, policy);
    else this.#parts.stats.series.ejectionOverflow.increment();
  }

  #endpointFor(spec: EndpointSpec): Endpoint {
    const stats = this.#parts.statsOf(spec.labels.version ?? "");
    const facts = {
      labels: spec.labels,
      workload: spec.workload,
      locality: spec.locality,
      meshTransport: spec.meshTransport,
    };
    const made = new Endpoint(spec, facts, stats);
    const known = this.#byAuthority.get(made.authority);
    if (known === undefined) {
      this.#byAuthority.set(made.authority, made);
      return made;
    }
    known.facts = facts;
    known.stats = stats;
    return known;
  }

  #eject(endpoint: Endpoint, policy: OutlierPolicy): void {
    const ms = ejectionMs(policy, endpoint, this.#parts.clock.nowMs());
    endpoint.ejected = true;
    const cancel = this.#parts.clock.after(ms, () => {
      this.#restore(endpoint);
      this.#rotate();
    });
    this.#returns.set(endpoint, cancel);
    this.#parts.stats.series.ejections.increment();
    this.#parts.stats.series.ejectionsActive.set(this.#returns.size);
    this.#rotate();
  }

  #restore(endpoint: Endpoint): void {
    const cancel = this.#returns.get(endpoint);
    if (cancel === undefined) return;
    cancel();
    this.#returns.delete(endpoint);
    endpoint.ejected = false;
    endpoint.consecutiveErrors = 0;
    endpoint.returnedMs = this.#parts.clock.nowMs();
    this.#parts.stats.series.ejectionsActive.set(this.#returns.size);
  }

  #rotate(): void {
    const healthy = this.#endpoints.filter((endpoint) => !endpoint.ejected);
    const rotating = healthy.length === 0 ? this.#endpoints : healthy;
    this.#parts.stats.membership(this.#endpoints.length, healthy.length);
    this.#balancer.rotate(
      placesOf(
        rotating.map((endpoint) => ({ endpoint, weight: this.#weights.get(endpoint) ?? 1 })),
      ),
    );
  }
}
