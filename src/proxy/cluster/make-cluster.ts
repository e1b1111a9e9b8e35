/**
 * Makes a cluster with the state that belongs to its name. The compiler of snapshots uses it, and
 * the inbound side for its one local application.
 */
import type { Clock } from "../../core/clock.ts";
import type { Random } from "../../core/random.ts";
import type { MetricScope, Metrics } from "../../telemetry/metrics.ts";
import type { MeshIdentity } from "../identity/mesh-identity.ts";
import { CallerEndpoints } from "./caller-endpoints.ts";
import {
  Cluster,
  type ClusterSettings,
  type ClusterSources,
  type ClusterState,
  membershipRules,
} from "./cluster.ts";
import { ClusterStats } from "./cluster-stats.ts";
import type { Prober } from "./health/prober.ts";
import { UNLIMITED, Usage } from "./limits.ts";
import { type EndpointSpec, Membership } from "./membership.ts";
import { NameMembers, type ResolveName } from "./name-members.ts";
import { OriginalDestinations } from "./original-destination.ts";
import { RequestStats } from "./request-stats.ts";
import { RetryWindow } from "./retry-budget.ts";

export interface ClusterParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: Metrics;
  readonly resolve: ResolveName;
  /** Who calls, for metrics: the local service and its version; may be "". */
  readonly source: { readonly service: string; readonly version: string };
  readonly reporter: "source" | "destination";
  /** "region/zone/subzone" of the proxy; absent: unknown, and all endpoints are equally near. */
  readonly locality?: string;
  /** Absent: nobody is checked. */
  readonly prober?: Prober;
  /** Who checks proxies of the mesh; absent: nobody that they would know. */
  readonly identity?: MeshIdentity;
}

/** `former`: the state of the cluster that had the name until now. */
export function makeCluster(
  settings: ClusterSettings,
  parts: ClusterParts,
  former?: ClusterState,
): Cluster {
  const sources = { clock: parts.clock, random: parts.random, ownLocality: parts.locality ?? "" };
  return new Cluster(settings, former ?? makeState(settings, parts, sources), sources);
}

export interface LocalApplication {
  readonly hostname: string;
  readonly port: number;
  readonly service: string;
  readonly version: string;
  readonly connectTimeoutMs: number;
  readonly protocol: ClusterSettings["protocol"];
  /** Behind TPROXY: it is called from its callers' addresses, with this mark. */
  readonly tproxyMark?: number | undefined;
}

/** The cluster of the inbound side: "inbound|9080||reviews", with the application in it. */
export function makeLocalCluster(app: LocalApplication, parts: ClusterParts): Cluster {
  const labels = app.version === "" ? {} : { version: app.version };
  const cluster = makeCluster(
    {
      name: `inbound|${app.port}||${app.service}`,
      service: app.service,
      port: app.port,
      labels,
      discovery: app.tproxyMark === undefined ? "endpoints" : "original",
      protocol: app.protocol,
      loadBalancer: "round-robin",
      connectTimeoutMs: app.connectTimeoutMs,
      maxima: unlimited,
      outlier: undefined,
      origins: [],
    },
    parts,
  );
  // It is in no snapshot: the last connection that lets go of it is not its end.
  cluster.hold();
  if (app.tproxyMark !== undefined) {
    const { hostname: address, port, tproxyMark: mark } = app;
    const stats = cluster.localStats;
    cluster.callers = new CallerEndpoints({ address, port, labels, mark, stats });
    return cluster;
  }
  const spec: EndpointSpec = {
    address: app.hostname,
    port: app.port,
    weight: 1,
    labels,
    workload: "",
    locality: "",
    meshTransport: false,
    identity: "",
  };
  cluster.activate([spec]);
  return cluster;
}

/** The name under which Istio's users know the cluster of hosts that no service has. */
export const PASSTHROUGH = "PassthroughCluster";

export function makePassthroughCluster(
  connectTimeoutMs: number,
  parts: ClusterParts,
  former?: ClusterState,
): Cluster {
  const settings: ClusterSettings = {
    name: PASSTHROUGH,
    service: PASSTHROUGH,
    port: 0,
    labels: {},
    discovery: "original",
    protocol: "http",
    loadBalancer: "round-robin",
    connectTimeoutMs,
    maxima: unlimited,
    outlier: undefined,
    origins: [],
  };
  return makeCluster(settings, parts, former);
}

const unlimited = {
  connections: UNLIMITED,
  pending: UNLIMITED,
  requests: UNLIMITED,
  retries: UNLIMITED,
  requestsPerConnection: UNLIMITED,
} as const;

function makeState(
  settings: ClusterSettings,
  parts: ClusterParts,
  sources: ClusterSources,
): ClusterState {
  const scope = parts.metrics.scope();
  const versions = new Map<string, RequestStats>();
  const statsOf = (version: string): RequestStats => {
    let stats = versions.get(version);
    if (stats === undefined) {
      const { reporter, source } = parts;
      const from = { source: source.service, sourceVersion: source.version };
      stats = new RequestStats({ reporter, ...from, service: settings.service, version }, scope);
      versions.set(version, stats);
    }
    return stats;
  };
  const stats = new ClusterStats(settings.name, scope);
  const usage = new Usage(new RetryWindow(parts.clock));
  const { clock, random, prober, identity } = parts;
  const membership = new Membership(
    { clock, random, stats, statsOf, prober, identity, tries: () => usage.tries },
    membershipRules(settings, sources),
  );
  return {
    usage,
    membership,
    stats,
    localStats: statsOf(settings.labels.version ?? ""),
    names: new NameMembers(parts, membership),
    originals: new OriginalDestinations(statsOf),
    lifetime: { followed: undefined, specs: [], snapshots: 0, end: () => endSeries(usage, scope) },
  };
}

/** At once, or when the last connection has closed: it is still to be counted out. */
function endSeries(usage: Usage, scope: MetricScope): void {
  if (usage.connections === 0) return scope.retire();
  usage.onUnused = () => {
    usage.onUnused = undefined;
    scope.retire();
  };
}
