/**
 * Asks the endpoints of one cluster, each in its own rhythm, and writes what it finds into
 * Endpoint.check. An endpoint that stays keeps its judgement and its rhythm over every change of
 * configuration that leaves the way of asking as it was.
 */
import type { Clock } from "../../../core/clock.ts";
import type { Random } from "../../../core/random.ts";
import type { ClientTls } from "../../../io/tls-settings.ts";
import type { MeshIdentity } from "../../identity/mesh-identity.ts";
import type { UpstreamTls } from "../../upstream/upstream-tls.ts";
import type { ClusterStats } from "../cluster-stats.ts";
import type { Endpoint } from "../endpoint.ts";
import { type HealthCheckPolicy, type Judged, judge, type ProbeOutcome } from "./health-check.ts";
import type { Prober } from "./prober.ts";

export interface MonitorParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly stats: ClusterStats;
  readonly prober: Prober | undefined;
  /** Who asks proxies of the mesh. */
  readonly identity?: MeshIdentity | undefined;
  /** Tries begun in the cluster, ever: tells whether it is used. */
  readonly tries: () => number;
  /** Endpoints are in rotation that were not, or the other way round. */
  readonly onChange: () => void;
}

/** First questions to many endpoints are spread over this time for each of them. */
const SPREAD_MS = 10;

/** ALPN. */
const protocolsOf = { http: ["http/1.1"], tcp: [], grpc: ["h2"] } as const;
const meshProtocolOf = { http: "mesh-http/1.1", tcp: "mesh-tcp", grpc: "mesh-h2" } as const;

interface Watched {
  judged: Judged;
  /** Gives up the wait or the question under way. */
  cancel: () => void;
  /** MonitorParts.tries() at the last question. */
  tries: number;
}

export class HealthMonitor {
  readonly #parts: MonitorParts;
  readonly #watched = new Map<Endpoint, Watched>();
  #policy: HealthCheckPolicy | undefined;
  /** Of questions from now on. */
  #tls: UpstreamTls | undefined;
  #endpoints: readonly Endpoint[] = [];

  constructor(parts: MonitorParts) {
    this.#parts = parts;
  }

  /** Undefined: nobody is asked. The caller sees to the rotation. */
  configure(policy: HealthCheckPolicy | undefined, tls: UpstreamTls | undefined): void {
    const former = this.#policy;
    this.#tls = tls;
    const wanted = this.#parts.prober === undefined ? undefined : policy;
    if (isSamePolicy(former, wanted)) return;
    this.#policy = wanted;
    for (const endpoint of [...this.#watched.keys()]) {
      this.#forget(endpoint);
      if (wanted === undefined) endpoint.check = "unchecked";
    }
    this.follow(this.#endpoints);
  }

  /** The cluster's endpoints from now on. The caller sees to the rotation. */
  follow(endpoints: readonly Endpoint[]): void {
    this.#endpoints = endpoints;
    const kept = new Set(endpoints);
    for (const endpoint of [...this.#watched.keys()])
      if (!kept.has(endpoint)) this.#forget(endpoint);
    const policy = this.#policy;
    if (policy === undefined) return;
    const added = endpoints.filter((endpoint) => !this.#watched.has(endpoint));
    const spreadMs = Math.min(policy.intervalMs, (added.length - 1) * SPREAD_MS);
    for (const endpoint of added) this.#watch(endpoint, this.#parts.random() * spreadMs);
    this.#countHealthy();
  }

  #watch(endpoint: Endpoint, delayMs: number): void {
    if (endpoint.check === "unchecked") endpoint.check = "pending";
    const watched: Watched = {
      judged: { health: endpoint.check, contrary: 0 },
      cancel: () => {},
      tries: this.#parts.tries(),
    };
    this.#watched.set(endpoint, watched);
    this.#wait(endpoint, watched, delayMs);
  }

  #wait(endpoint: Endpoint, watched: Watched, ms: number): void {
    watched.cancel = this.#parts.clock.after(ms, () => this.#ask(endpoint, watched));
  }

  #ask(endpoint: Endpoint, watched: Watched): void {
    const { prober, clock, stats } = this.#parts;
    const policy = this.#policy!;
    stats.healthSeries.attempts.increment();
    const cancelTimeout = clock.after(policy.timeoutMs, () => {
      cancelProbe();
      this.#answered(endpoint, watched, "unreachable");
    });
    const { address } = endpoint;
    const tls = this.#tlsFor(endpoint, policy);
    const target = { address, port: policy.port || endpoint.port, tls };
    const cancelProbe = prober!.start(target, policy.probe, (outcome) => {
      cancelTimeout();
      this.#answered(endpoint, watched, outcome);
    });
    watched.cancel = () => {
      cancelTimeout();
      cancelProbe();
    };
  }

  /** As requests do; at another port than theirs nothing is known of a proxy. */
  #tlsFor({ address, port, facts }: Endpoint, policy: HealthCheckPolicy): ClientTls | undefined {
    const { by } = policy.probe;
    if (policy.plaintext) return undefined;
    if (this.#tls !== undefined) return this.#tls.speaking(protocolsOf[by], address);
    if (facts.identity === "" || (policy.port !== 0 && policy.port !== port)) return undefined;
    return this.#parts.identity?.clientTls(facts.identity, meshProtocolOf[by]);
  }

  #answered(endpoint: Endpoint, watched: Watched, outcome: ProbeOutcome): void {
    const { clock, stats, onChange } = this.#parts;
    const policy = this.#policy!;
    const series = stats.healthSeries;
    if (outcome === "passed") series.successes.increment();
    else series.failures.increment();
    if (outcome === "unreachable") series.networkFailures.increment();
    const former = watched.judged.health;
    watched.judged = judge(watched.judged, outcome === "passed", policy);
    endpoint.check = watched.judged.health;
    this.#wait(endpoint, watched, this.#intervalMs(watched, policy));
    if (endpoint.check === former) return;
    if (endpoint.check === "healthy") endpoint.inRotationMs = clock.nowMs();
    this.#countHealthy();
    onChange();
  }

  #intervalMs(watched: Watched, policy: HealthCheckPolicy): number {
    const { random, tries } = this.#parts;
    const jitter = random() * policy.jitterMs;
    const now = tries();
    const idle = now === watched.tries;
    watched.tries = now;
    if (watched.judged.health === "unhealthy" && policy.unhealthyIntervalMs > 0)
      return policy.unhealthyIntervalMs + jitter;
    return (idle ? policy.noTrafficIntervalMs : policy.intervalMs) + jitter;
  }

  #countHealthy(): void {
    let healthy = 0;
    for (const { judged } of this.#watched.values()) if (judged.health === "healthy") healthy++;
    this.#parts.stats.healthSeries.healthy.set(healthy);
  }

  #forget(endpoint: Endpoint): void {
    this.#watched.get(endpoint)?.cancel();
    this.#watched.delete(endpoint);
  }
}

/** Plain data, so its text says it all. */
function isSamePolicy(a: HealthCheckPolicy | undefined, b: HealthCheckPolicy | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && Bun.deepEquals(a, b));
}
