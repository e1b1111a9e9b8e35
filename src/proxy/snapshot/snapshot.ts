/**
 * All that the data plane knows at one moment, compiled: hosts, routes, clusters, settings.
 *
 *   compileSnapshot() ─▶ warm() ─▶ activate(former) ─▶ published ─▶ … ─▶ retire()
 *
 * Compiling touches nothing that is in use; nor does warm(), which asks for names that are new.
 * retire() comes after the last user. activate() is called once, by whoever publishes, and
 * moves what belongs to names (endpoints, name resolution) to the new configuration; endpoints that
 * nobody names any more have their pools drained.
 */
import type { ProxyConfig } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import type { Clock } from "../../core/clock.ts";
import type { PathRules } from "../../http/path-normalization.ts";
import type { CompiledAccess } from "../access/compiled-access.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { EndpointSpec } from "../cluster/membership.ts";
import type { RequestStats } from "../cluster/request-stats.ts";
import type { EdgeRules } from "../filter/edge-fields.ts";
import type { CompiledPolicy } from "../policy/compiled-policy.ts";
import type { HostTable } from "../route/host-table.ts";
import type { VirtualHost } from "../route/virtual-host.ts";
import type { TcpRouteTable } from "../tcp/route-table.ts";
import type { EdgeListener } from "./edge-listener.ts";

export interface SnapshotSettings {
  /** Where a request for a host that nobody knows goes; undefined: it is answered 404 NR. */
  readonly unknownHost: Cluster | undefined;
  /** Empty: none. */
  readonly accessLogFile: string;
  readonly accessLogJson: boolean;
  readonly connectTimeoutMs: number;
  readonly drainMs: number;
  readonly paths: PathRules;
  /** What a gateway believes of its clients. */
  readonly edge: EdgeRules;
}

export interface SnapshotParts {
  readonly version: string;
  /** What it was compiled from. */
  readonly config: ProxyConfig;
  readonly settings: SnapshotSettings;
  readonly hosts: HostTable<VirtualHost>;
  readonly edgeHosts: ReadonlyMap<string, HostTable<VirtualHost>>;
  /** Of a gateway; none: it is a sidecar. */
  readonly edges: readonly EdgeListener[];
  readonly virtualHosts: readonly VirtualHost[];
  /** Routes of connections that are passed on as they are. */
  readonly tcp: TcpRouteTable;
  /** By name; for operators and for the next compilation, never on the request path. */
  readonly clusters: ReadonlyMap<string, Cluster>;
  /** Endpoints, or names of them, by cluster. */
  readonly members: ReadonlyMap<string, readonly EndpointSpec[]>;
  /** For replies to requests without a virtual host. */
  readonly localStats: RequestStats;
  /** Undefined: it has none. */
  readonly policy: CompiledPolicy | undefined;
  /** Undefined: nothing is asked of callers. */
  readonly access: CompiledAccess | undefined;
}

/** A name that nobody answers must not keep the rest of a configuration from being in force. */
const WARM_MS = 5_000;
const none: readonly EndpointSpec[] = [];

export class Snapshot {
  readonly version: string;
  readonly config: ProxyConfig;
  readonly settings: SnapshotSettings;
  readonly virtualHosts: readonly VirtualHost[];
  readonly tcp: TcpRouteTable;
  readonly clusters: ReadonlyMap<string, Cluster>;
  readonly members: ReadonlyMap<string, readonly EndpointSpec[]>;
  readonly localStats: RequestStats;
  readonly hosts: HostTable<VirtualHost>;
  readonly edgeHosts: ReadonlyMap<string, HostTable<VirtualHost>>;
  readonly edges: readonly EdgeListener[];
  readonly policy: CompiledPolicy | undefined;
  readonly access: CompiledAccess | undefined;
  #activated = false;
  /** New clusters whose names were asked for before it was published. */
  #warmed: readonly Cluster[] = [];

  constructor(parts: SnapshotParts) {
    this.version = parts.version;
    this.config = parts.config;
    this.settings = parts.settings;
    this.virtualHosts = parts.virtualHosts;
    this.tcp = parts.tcp;
    this.clusters = parts.clusters;
    this.members = parts.members;
    this.localStats = parts.localStats;
    this.hosts = parts.hosts;
    this.edgeHosts = parts.edgeHosts;
    this.edges = parts.edges;
    this.policy = parts.policy;
    this.access = parts.access;
  }

  /**
   * Who serves the authority bytes[from, to) (host, or host:port), in any case. `defaultPort` is
   * meant by an authority without port: 80, or the port at which a captured connection was aimed.
   */
  findVirtualHost(
    bytes: Uint8Array,
    from: number,
    to: number,
    defaultPort: number,
  ): VirtualHost | undefined {
    return this.hosts.find(bytes, from, to, defaultPort);
  }

  /**
   * Before it is published: asks for the names of new clusters, so that their first requests find
   * endpoints. Undefined: there are none. Else it resolves when each name was answered or refused,
   * or after WARM_MS.
   */
  warm(clock: Clock): Promise<void> | undefined {
    const cold = [...this.clusters.values()].filter(({ isCold }) => isCold);
    if (cold.length === 0) return undefined;
    this.#warmed = cold;
    for (const cluster of cold) cluster.activate(this.members.get(cluster.name) ?? none);
    const late = Promise.withResolvers<void>();
    const cancel = clock.after(WARM_MS, late.resolve);
    return Promise.race([this.ready(cold), late.promise]).then(cancel);
  }

  /** It will not be published. */
  abandon(): void {
    if (this.#activated) return;
    for (const cluster of this.#warmed) {
      cluster.close();
      cluster.state.lifetime.end();
    }
    this.#warmed = [];
  }

  /** Makes it the configuration that endpoints follow; `former` was so until now. Once. */
  activate(former: Snapshot | undefined): void {
    if (this.#activated) return;
    this.#activated = true;
    for (const cluster of this.clusters.values()) {
      cluster.state.lifetime.snapshots++;
      cluster.activate(this.members.get(cluster.name) ?? none);
    }
    for (const [name, cluster] of former?.clusters ?? [])
      if (this.clusters.get(name)?.state !== cluster.state) cluster.close();
  }

  /** No exchange uses it any more, and another one is published. */
  retire(): void {
    if (!this.#activated) return;
    for (const { state } of this.clusters.values()) {
      state.lifetime.snapshots--;
      if (state.lifetime.snapshots === 0) state.lifetime.end();
    }
  }

  /** Ends name resolution and running ejections: the process or the test is over. */
  close(): void {
    for (const cluster of this.clusters.values()) cluster.close();
  }

  /** Resolves when clusters that follow DNS names have asked once. */
  async ready(clusters: Iterable<Cluster> = this.clusters.values()): Promise<void> {
    await Promise.all([...clusters].map((cluster) => cluster.ready()));
  }
}
