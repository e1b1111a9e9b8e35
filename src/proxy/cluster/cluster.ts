/**
 * The endpoints of one service port and subset, and how to use them: what a route refers to.
 *
 *   pick() ─▶ Endpoint ─▶ begin() ─▶ exchange ─▶ answered() or failedLocally() ─▶ end()
 *
 * A Cluster is one configuration; its ClusterState (endpoints, counts in use, series) belongs to
 * the name and is shared by the clusters of that name in all snapshots.
 */

import type { Clock } from "../../core/clock.ts";
import type { Random } from "../../core/random.ts";
import type { UpstreamTls } from "../upstream/upstream-tls.ts";
import { type LoadBalancerKind, NO_HASH } from "./balancing/balancer.ts";
import type { HashPolicy } from "./balancing/hash-policy.ts";
import { type BalancingPolicy, defaultEwma, LoadBalancer } from "./balancing/load-balancer.ts";
import { type EwmaPolicy, observeRtt, penalize } from "./balancing/peak-ewma.ts";
import type { CallerEndpoints } from "./caller-endpoints.ts";
import type { ClusterStats } from "./cluster-stats.ts";
import type { Endpoint } from "./endpoint.ts";
import type { HealthCheckPolicy } from "./health/health-check.ts";
import { Limits, type Maxima, UNLIMITED, type Usage } from "./limits.ts";
import type { EndpointSpec, Membership, MembershipRules } from "./membership.ts";
import type { NameMembers } from "./name-members.ts";
import type { OriginalDestinations } from "./original-destination.ts";
import type { OutlierPolicy } from "./outlier.ts";
import type { RequestStats } from "./request-stats.ts";
import { type ServiceName, serviceNameOf } from "./service-name.ts";

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
  /** Absent: its defaults. */
  readonly balancing?: BalancingPolicy;
  /** What of a request is hashed; absent: nothing. */
  readonly hashPolicy?: HashPolicy;
  readonly connectTimeoutMs: number;
  /** Absent: connections are plaintext. */
  readonly tls?: UpstreamTls;
  /** Endpoints without an identity are not called; absent: they are, in plaintext. */
  readonly requiresIdentity?: boolean;
  /** Its endpoint goes by the Host that it is asked for; absent: it is who is meant. */
  readonly viaEgressProxy?: boolean;
  readonly maxima: Maxima;
  readonly outlier: OutlierPolicy | undefined;
  /** Absent: endpoints are not asked. */
  readonly healthCheck?: HealthCheckPolicy;
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

/** What clusters are made with, beside their settings. */
export interface ClusterSources {
  readonly clock: Clock;
  readonly random: Random;
  /** "region/zone/subzone" of the proxy; empty: unknown. */
  readonly ownLocality: string;
}

/** Whom the state follows, and how many snapshots and TCP connections use it. */
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
  readonly serviceName: ServiceName;
  readonly state: ClusterState;
  readonly limits: Limits;
  readonly stats: ClusterStats;
  readonly localStats: RequestStats;
  readonly connectTimeoutMs: number;
  /** Its endpoint is the authority of the request: pickOriginal() instead of pick(). */
  readonly original: boolean;
  /** Of an application behind TPROXY: its endpoints, one for each caller. */
  callers: CallerEndpoints | undefined = undefined;
  /** Undefined: connections are plaintext. */
  readonly tls: UpstreamTls | undefined;
  readonly requiresIdentity: boolean;
  /** For hashOf() and issueCookie(); undefined: pick() needs no hash. */
  readonly hashPolicy: HashPolicy | undefined;
  readonly #membership: Membership;
  readonly #sources: ClusterSources;
  /** Undefined: nobody asks for times. */
  readonly #ewma: EwmaPolicy | undefined;

  constructor(settings: ClusterSettings, state: ClusterState, sources: ClusterSources) {
    this.name = settings.name;
    this.settings = settings;
    this.serviceName = serviceNameOf(settings.service, settings.labels);
    this.state = state;
    this.limits = new Limits(settings.maxima, state.usage, state.stats);
    this.stats = state.stats;
    this.localStats = state.localStats;
    this.connectTimeoutMs = settings.connectTimeoutMs;
    this.original = settings.discovery === "original";
    this.hashPolicy = settings.hashPolicy;
    this.tls = settings.tls;
    this.requiresIdentity = settings.requiresIdentity === true;
    this.#membership = state.membership;
    this.#sources = sources;
    if (settings.loadBalancer === "peak-ewma") this.#ewma = settings.balancing?.ewma ?? defaultEwma;
  }

  get endpoints(): readonly Endpoint[] {
    if (this.callers !== undefined) return this.callers.endpoints;
    return this.original ? this.state.originals.endpoints : this.#membership.endpoints;
  }

  /** Too few endpoints are healthy: those out of rotation are used all the same. */
  get panics(): boolean {
    return this.#membership.panics;
  }

  /**
   * Where to send an exchange; another than `avoid` (the one just tried) if there is one. `hash`:
   * of hashOf(), for clusters with a hash policy.
   */
  pick(avoid?: Endpoint, hash: number = NO_HASH): Endpoint | undefined {
    return this.#membership.pick(avoid, hash);
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

  /** Why there is nobody: the mesh knows of nobody who could prove who it is. */
  get lacksIdentities(): boolean {
    return this.#membership.lacksIdentities;
  }

  /** An exchange takes the endpoint; end() gives it back, once. */
  begin(endpoint: Endpoint): void {
    endpoint.active++;
    this.state.usage.tries++;
  }

  end(endpoint: Endpoint): void {
    endpoint.active--;
  }

  /**
   * A response head came, `rttMs` after the request was sent. `status` and `waitMs` are
   * what outcomeStatus() and waitMsOf() say of the head.
   */
  answered(endpoint: Endpoint, status: number, rttMs: number, waitMs: number): void {
    this.#membership.outliers.answered(endpoint, status);
    if (this.#ewma === undefined) return;
    const nowMs = this.#sources.clock.nowMs();
    if (status === 429 || status >= 500) penalize(endpoint, waitMs, this.#ewma, nowMs);
    observeRtt(endpoint, rttMs, this.#ewma, nowMs);
  }

  /** A response head came that does not say how the call went: ended() will. */
  responded(endpoint: Endpoint, rttMs: number): void {
    if (this.#ewma !== undefined)
      observeRtt(endpoint, rttMs, this.#ewma, this.#sources.clock.nowMs());
  }

  /** The trailers of a call said how it went; `status`: as HTTP, of outcomeOfCode(). */
  ended(endpoint: Endpoint, status: number): void {
    this.#membership.outliers.answered(endpoint, status);
    if (this.#ewma !== undefined && (status === 429 || status >= 500))
      penalize(endpoint, 0, this.#ewma, this.#sources.clock.nowMs());
  }

  /** No response: the connection was refused, reset or cut, or the time of the try ran out. */
  failedLocally(endpoint: Endpoint, timedOut: boolean): void {
    this.#membership.outliers.failedLocally(endpoint, timedOut);
    if (this.#ewma !== undefined) penalize(endpoint, 0, this.#ewma, this.#sources.clock.nowMs());
  }

  /** The endpoint answered, and not with 5xx, when the time is not known. */
  succeeded(endpoint: Endpoint): void {
    this.#membership.outliers.answered(endpoint, 200);
  }

  /** A 5xx, a failed connection, a reset or a timeout, when it is not known which. */
  failed(endpoint: Endpoint): void {
    this.#membership.outliers.answered(endpoint, 500);
    if (this.#ewma !== undefined) penalize(endpoint, 0, this.#ewma, this.#sources.clock.nowMs());
  }

  /** For a connection that may outlive every snapshot: its series stay until release(), once. */
  hold(): void {
    this.state.lifetime.snapshots++;
  }

  release(): void {
    const { lifetime } = this.state;
    lifetime.snapshots--;
    if (lifetime.snapshots === 0) lifetime.end();
  }

  /** It follows names, and nobody has asked for them yet. */
  get isCold(): boolean {
    return this.settings.discovery === "dns" && this.state.lifetime.followed === undefined;
  }

  /** Makes this configuration the one that the endpoints of its name follow. */
  activate(specs: readonly EndpointSpec[]): void {
    const { lifetime, names } = this.state;
    if (lifetime.followed === this && lifetime.specs === specs) return;
    if (lifetime.followed !== this)
      this.#membership.configure(membershipRules(this.settings, this.#sources));
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
    this.#membership.close();
    this.state.lifetime.followed = undefined;
  }
}

export function membershipRules(
  settings: ClusterSettings,
  { clock, random, ownLocality }: ClusterSources,
): MembershipRules {
  const { loadBalancer, balancing, maxima, outlier, healthCheck, tls } = settings;
  return {
    balancer: new LoadBalancer({
      kind: loadBalancer,
      policy: balancing ?? {},
      random,
      clock,
      ownLocality,
    }),
    outlier,
    healthCheck,
    tls,
    requiresIdentity: settings.requiresIdentity === true,
    requestsMax: maxima.perEndpoint?.requests ?? UNLIMITED,
  };
}
