/**
 * Who belongs to a cluster, and who of them is in rotation. It lives as long as the cluster's name:
 * a new configuration, a DNS answer, an ejection, a failed check or a return changes it in place,
 * so exchanges that run see it at once.
 *
 *   outlier-detector.ts ─▶ ejected ┐
 *                                  ├─▶ inRotation ─▶ balancing/load-balancer.ts
 *   health/health-monitor.ts ─▶ check ┘
 */
import type { Clock } from "../../core/clock.ts";
import type { Random } from "../../core/random.ts";
import type { MeshIdentity } from "../identity/mesh-identity.ts";
import type { UpstreamTls } from "../upstream/upstream-tls.ts";
import type { LoadBalancer } from "./balancing/load-balancer.ts";
import type { ClusterStats } from "./cluster-stats.ts";
import { Endpoint, type EndpointFacts } from "./endpoint.ts";
import type { HealthCheckPolicy } from "./health/health-check.ts";
import { HealthMonitor } from "./health/health-monitor.ts";
import type { Prober } from "./health/prober.ts";
import type { OutlierPolicy } from "./outlier.ts";
import { OutlierDetector } from "./outlier-detector.ts";
import type { RequestStats } from "./request-stats.ts";

/** One line of an endpoint set or of a DNS answer. */
export interface EndpointSpec extends EndpointFacts {
  readonly address: string;
  readonly port: number;
  readonly weight: number;
}

export interface MembershipParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly stats: ClusterStats;
  readonly statsOf: (version: string) => RequestStats;
  /** Undefined: nobody can be checked, and everybody counts as unchecked. */
  readonly prober: Prober | undefined;
  /** Who asks proxies of the mesh. */
  readonly identity: MeshIdentity | undefined;
  /** Tries begun in the cluster, ever. */
  readonly tries: () => number;
}

/** What one configuration of the cluster says of its endpoints. */
export interface MembershipRules {
  readonly balancer: LoadBalancer;
  readonly outlier: OutlierPolicy | undefined;
  readonly healthCheck: HealthCheckPolicy | undefined;
  /** How those who ask secure their connections; undefined: not at all. */
  readonly tls: UpstreamTls | undefined;
  /** Exchanges under way at each endpoint. */
  readonly requestsMax: number;
  /** Who has no identity is none of them. */
  readonly requiresIdentity: boolean;
}

export class Membership {
  readonly outliers: OutlierDetector;
  readonly health: HealthMonitor;
  readonly #parts: MembershipParts;
  readonly #byAuthority = new Map<string, Endpoint>();
  #endpoints: readonly Endpoint[] = [];
  /** Somebody was left out for having no identity. */
  #excludes = false;
  #rules: MembershipRules;

  constructor(parts: MembershipParts, rules: MembershipRules) {
    const onChange = (): void => this.#rotate();
    const { clock, stats } = parts;
    this.#parts = parts;
    this.#rules = rules;
    this.outliers = new OutlierDetector({
      clock,
      stats,
      members: () => this.#endpoints,
      onChange,
    });
    this.health = new HealthMonitor({ ...parts, onChange });
  }

  get endpoints(): readonly Endpoint[] {
    return this.#endpoints;
  }

  /** There is nobody, but there would be, if they had an identity. */
  get lacksIdentities(): boolean {
    return this.#excludes && this.#endpoints.length === 0;
  }

  /** Too few are healthy: endpoints out of rotation are used all the same. */
  get panics(): boolean {
    return this.#rules.balancer.panics;
  }

  /** Another configuration of the same cluster. */
  configure(rules: MembershipRules): void {
    this.#rules = rules;
    for (const endpoint of this.#endpoints) endpoint.requestsMax = rules.requestsMax;
    this.outliers.configure(rules.outlier);
    this.health.configure(rules.healthCheck, rules.tls);
    this.#rotate();
  }

  /** Endpoints of the same address and port stay; those that are not named any more are removed. */
  replace(all: readonly EndpointSpec[]): void {
    const { requiresIdentity } = this.#rules;
    const specs = requiresIdentity ? all.filter(({ identity }) => identity !== "") : all;
    this.#excludes = specs.length < all.length;
    const endpoints: Endpoint[] = [];
    const kept = new Set<Endpoint>();
    for (const spec of specs) {
      const endpoint = this.#endpointFor(spec);
      if (kept.has(endpoint)) continue;
      kept.add(endpoint);
      endpoints.push(endpoint);
      endpoint.weight = Math.max(1, spec.weight);
    }
    const gone = this.#endpoints.filter((endpoint) => !kept.has(endpoint));
    this.#endpoints = endpoints;
    for (const endpoint of gone) {
      this.#byAuthority.delete(endpoint.authority);
      this.outliers.forget(endpoint);
    }
    this.health.follow(endpoints);
    this.#rotate();
    for (const endpoint of gone) endpoint.remove();
  }

  pick(avoid: Endpoint | undefined, hash: number): Endpoint | undefined {
    return this.#rules.balancer.pick(avoid, hash);
  }

  /** Ends all waits. */
  close(): void {
    this.replace([]);
    this.outliers.stop();
  }

  #rotate(): void {
    const healthy = this.#endpoints.filter(({ inRotation }) => inRotation).length;
    this.#parts.stats.membership(this.#endpoints.length, healthy);
    this.#rules.balancer.rotate(this.#endpoints);
  }

  #endpointFor(spec: EndpointSpec): Endpoint {
    const stats = this.#parts.statsOf(spec.labels.version ?? "");
    const facts = {
      labels: spec.labels,
      workload: spec.workload,
      locality: spec.locality,
      meshTransport: spec.meshTransport,
      identity: spec.identity,
    };
    const made = new Endpoint(spec, facts, stats);
    const known = this.#byAuthority.get(made.authority);
    if (known === undefined) {
      made.inRotationMs = made.rttAtMs = this.#parts.clock.nowMs();
      made.requestsMax = this.#rules.requestsMax;
      this.#byAuthority.set(made.authority, made);
      return made;
    }
    known.facts = facts;
    known.stats = stats;
    return known;
  }
}
