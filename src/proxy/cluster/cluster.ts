/**
 * The endpoints of one service port and subset, and how to use them: what a route refers to.
 *
 *   pick() ─▶ Endpoint ─▶ begin() ─▶ exchange ─▶ succeeded() or failed() ─▶ end()
 *
 * A Cluster is one configuration; its ClusterState (endpoints, counts in use, series) belongs to
 * the name and is shared by the clusters of that name in all snapshots.
 */
import type { Random } from "../../core/random.ts";
import type { ClusterStats } from "./cluster-stats.ts";
import type { Endpoint } from "./endpoint.ts";
import { Limits, type Maxima, type Usage } from "./limits.ts";
import { LoadBalancer, type LoadBalancerKind } from "./load-balancer.ts";
import type { EndpointSpec, Membership } from "./membership.ts";
import type { NameMembers } from "./name-members.ts";
import type { OriginalDestinations } from "./original-destination.ts";
import type { OutlierPolicy } from "./outlier.ts";
import type { RequestStats } from "./request-stats.ts";

export interface ClusterSettings {
  /** "outbound|9080|version=v1|reviews.default.svc.cluster.local" */
  readonly name: string;
  readonly service: string;
  readonly port: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly discovery: "endpoints" | "dns" | "original";
  /** "any": HTTP/1.1 or HTTP/2, as the downstream speaks. */
  readonly protocol: "http" | "http2" | "any" | "tcp";
  readonly loadBalancer: LoadBalancerKind;
  readonly connectTimeoutMs: number;
  readonly maxima: Maxima;
  readonly outlier: OutlierPolicy | undefined;
  /** "RouteRule/default/a (rules/a.yaml:3)": who asked for it, for operators. */
  readonly origins: readonly string[];
}

/** What belongs to the name of a cluster, in all snapshots. */
export interface ClusterState {
  readonly usage: Usage;
  readonly membership: Membership;
  readonly stats: ClusterStats;
  /** For replies of our own, made before an endpoint was chosen. */
  readonly localStats: RequestStats;
  readonly names: NameMembers;
  readonly originals: OriginalDestinations;
  readonly lifetime: ClusterLifetime;
}

/** Whom the state follows, and how many snapshots use it. */
export interface ClusterLifetime {
  followed: Cluster | undefined;
  specs: readonly EndpointSpec[];
  snapshots: number;
  /** The series of the cluster disappear. */
  readonly end: () => void;
}

export class Cluster {
  readonly name: string;
  readonly settings: ClusterSettings;
  readonly state: ClusterState;
  readonly limits: Limits;
  readonly stats: ClusterStats;
  readonly localStats: RequestStats;
  readonly connectTimeoutMs: number;
  /** Its endpoint is the authority of the request: pickOriginal() instead of pick(). */
  readonly original: boolean;
  readonly #membership: Membership;
  readonly #random: Random;

  constructor(settings: ClusterSettings, state: ClusterState, random: Random) {
    this.name = settings.name;
    this.settings = settings;
    this.state = state;
    this.limits = new Limits(settings.maxima, state.usage, state.stats);
    this.stats = state.stats;
    this.localStats = state.localStats;
    this.connectTimeoutMs = settings.connectTimeoutMs;
    this.original = settings.discovery === "original";
    this.#membership = state.membership;
    this.#random = random;
  }

  get endpoints(): readonly Endpoint[] {
    return this.original ? this.state.originals.endpoints : this.#membership.endpoints;
  }

  /** Where to send an exchange; another than `avoid` (the one just tried) if there is one. */
  pick(avoid?: Endpoint): Endpoint | undefined {
    return this.#membership.pick(avoid);
  }

  /**
   * The endpoint that bytes[from, to), a valid authority, names; made at first sight, undefined
   * when too many are known and all are in use. Without a port it is the cluster's that is meant,
   * or `defaultPort` if the cluster is for any.
   */
  pickOriginal(
    bytes: Uint8Array,
    from: number,
    to: number,
    defaultPort: number,
  ): Endpoint | undefined {
    return this.state.originals.find(bytes, from, to, this.settings.port || defaultPort);
  }

  /** An exchange takes the endpoint; end() gives it back, once. */
  begin(endpoint: Endpoint): void {
    endpoint.active++;
  }

  end(endpoint: Endpoint): void {
    endpoint.active--;
  }

  /** The endpoint answered, and not with 5xx. */
  succeeded(endpoint: Endpoint): void {
    endpoint.consecutiveErrors = 0;
  }

  /** A 5xx, a failed connection, a reset or a timeout. */
  failed(endpoint: Endpoint): void {
    this.#membership.failed(endpoint);
  }

  /** Makes this configuration the one that the endpoints of its name follow. */
  activate(specs: readonly EndpointSpec[]): void {
    const { lifetime, names } = this.state;
    if (lifetime.followed === this && lifetime.specs === specs) return;
    if (lifetime.followed !== this) {
      const { loadBalancer, outlier } = this.settings;
      this.#membership.configure(new LoadBalancer(loadBalancer, this.#random), outlier);
    }
    lifetime.followed = this;
    lifetime.specs = specs;
    if (this.settings.discovery === "dns") return names.resolve(specs);
    names.stop();
    this.#membership.replace(this.original ? [] : specs);
  }

  /** Resolves when names have been resolved, or could not be, for the first time. */
  ready(): Promise<void> {
    return this.state.names.settled;
  }

  /** The name is gone: endpoints are removed, timers end. */
  close(): void {
    this.state.names.stop();
    this.state.originals.close();
    this.#membership.replace([]);
    this.state.lifetime.followed = undefined;
  }
}
