/**
 * A forwarding engine on loopback with one service, "svc", for tests: its route, its cluster and
 * its limits are what the test says, everything else is a default. Requests go to `port`.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type Cluster,
  Cluster_Protocol,
  ClusterSchema,
  Listener_Protocol,
  LoadBalancer,
  ProxyConfigSchema,
  ProxySettings_OutboundPolicy,
  type Route,
  RouteSchema,
} from "../api/gen/mesh/v1/proxy_config_pb.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { Log } from "../core/log.ts";
import { seededRandom } from "../core/random.ts";
import { Engine } from "../proxy/engine.ts";
import type { EngineLimits } from "../proxy/exchange/limits.ts";
import type { MeshIdentity } from "../proxy/identity/mesh-identity.ts";
import type { EdgeOptions, InboundOptions } from "../proxy/listener/listen-options.ts";
import { compileSnapshot } from "../proxy/snapshot/compile.ts";
import type { Snapshot } from "../proxy/snapshot/snapshot.ts";
import { UpstreamCredentials } from "../proxy/upstream/upstream-credentials.ts";
import type { AccessLog } from "../telemetry/access-log.ts";
import { Metrics } from "../telemetry/metrics.ts";
import { renderPrometheus } from "../telemetry/prometheus.ts";
import { RawClient } from "./raw-client.ts";

type RouteInit = Exclude<MessageInitShape<typeof RouteSchema>, Route>;
type ClusterInit = Exclude<MessageInitShape<typeof ClusterSchema>, Cluster>;

export interface EngineFixtureOptions {
  /** Ports of the endpoints of "svc" on 127.0.0.1. */
  readonly endpoints: readonly number[];
  readonly route?: RouteInit;
  readonly cluster?: ClusterInit;
  /** Clusters besides "svc", each with one endpoint: its name and port. */
  readonly others?: Readonly<Record<string, number>>;
  /** What those speak; HTTP/1.1 unless told. */
  readonly othersProtocol?: Cluster_Protocol;
  readonly allowAny?: boolean;
  /** A gateway's listener for the same route, for listenEdge(); with proxies in front. */
  readonly edge?: { readonly trustedProxies: number };
  /** The endpoints of "svc" take the mesh's transport, or are said to. */
  readonly meshTransport?: boolean;
  /** What the endpoints of "svc" have to prove. */
  readonly peer?: string;
  /** Who the engine is to them. */
  readonly identity?: MeshIdentity;
  readonly limits?: Partial<EngineLimits>;
  /** The system's unless told. */
  readonly clock?: Clock;
  readonly accessLog?: AccessLog;
  /** Of the process; errors alone, on stderr, unless told. */
  readonly log?: Log;
}

const edgeListener = { name: "http-80", port: 80, protocol: Listener_Protocol.HTTP };

export class EngineFixture {
  readonly engine: Engine;
  readonly metrics: Metrics;
  readonly port: number;
  readonly #credentials = new UpstreamCredentials({
    clock: systemClock,
    log: new Log("test", { level: "error" }),
    watch: { settleMs: 1, pollMs: 5 },
  });
  readonly #options: EngineFixtureOptions;

  constructor(options: EngineFixtureOptions) {
    this.#options = options;
    this.metrics = new Metrics();
    const snapshot = this.compile(options, undefined);
    snapshot.activate(undefined);
    this.engine = new Engine({
      clock: options.clock ?? systemClock,
      random: seededRandom(1),
      metrics: this.metrics,
      log: options.log ?? new Log("test", { level: "error" }),
      snapshot,
      limits: options.limits,
      accessLog: options.accessLog,
      identity: options.identity,
    });
    this.port = this.engine.listenOutbound({ hostname: "127.0.0.1", port: 0 }).port;
  }

  /** An inbound listener in front of the application at `port`; returns its own port. */
  listenInbound(
    port: number,
    protocol: "http" | "http2" | "any" = "any",
    guards: Pick<InboundOptions, "headerRefused" | "security" | "tellsPeers"> = {},
  ): number {
    return this.engine.listenInbound({
      ...guards,
      hostname: "127.0.0.1",
      port: 0,
      app: { hostname: "127.0.0.1", port },
      service: "svc",
      version: "v1",
      protocol,
    }).port;
  }

  /** A port of the gateway's listener; returns its number. */
  listenEdge(options: Pick<EdgeOptions, "tls" | "header"> = {}): number {
    const at = { hostname: "127.0.0.1", port: 0 };
    return this.engine.listenEdge({ at, name: "http-80", port: 80, ...options }).port;
  }

  /** Another configuration of the same engine. */
  publish(changes: Partial<EngineFixtureOptions>): void {
    this.engine.publish(this.compile({ ...this.#options, ...changes }, this.engine.snapshot));
  }

  compile(options: EngineFixtureOptions, former: Snapshot | undefined): Snapshot {
    const forward: RouteInit = {
      name: "the-rule",
      action: { case: "forward", value: { clusters: [{ cluster: "svc", weight: 1 }] } },
      websocket: true,
    };
    const route = create(RouteSchema, { ...forward, ...options.route });
    const named = { name: "svc", service: "svc", port: 80 };
    const loadBalancer = LoadBalancer.ROUND_ROBIN;
    const others = Object.entries(options.others ?? {});
    const config = create(ProxyConfigSchema, {
      version: "1",
      settings: {
        outboundPolicy: options.allowAny
          ? ProxySettings_OutboundPolicy.ALLOW_ANY
          : ProxySettings_OutboundPolicy.REGISTRY_ONLY,
        ...(options.edge && { gateway: { ...options.edge, listeners: [edgeListener] } }),
      },
      virtualHosts: [
        {
          name: "svc",
          domains: ["svc"],
          routes: [route],
        },
        ...(options.edge === undefined
          ? []
          : [{ name: "svc:80", domains: ["svc"], routes: [route], listener: edgeListener.name }]),
      ],
      clusters: [
        // In turn unless told: then a test can say who is asked.
        Object.assign(create(ClusterSchema, { loadBalancer, ...options.cluster }), named),
        ...others.map(([name]) => ({
          name,
          service: name,
          port: 80,
          protocol: options.othersProtocol ?? Cluster_Protocol.HTTP,
        })),
      ],
      endpointSets: [
        {
          cluster: "svc",
          endpoints: options.endpoints.map((port) => ({
            address: "127.0.0.1",
            port,
            weight: 1,
            meshTransport: options.meshTransport === true,
            identity: options.peer ?? "",
          })),
        },
        ...others.map(([cluster, port]) => ({
          cluster,
          endpoints: [{ address: "127.0.0.1", port, weight: 1 }],
        })),
      ],
    });
    const snapshot = compileSnapshot(config, {
      clock: options.clock ?? systemClock,
      random: seededRandom(1),
      metrics: this.metrics,
      resolve: async () => [],
      source: { service: "caller", version: "" },
      credentials: this.#credentials,
      ...(options.identity && { identity: options.identity }),
      former,
    });
    if (Array.isArray(snapshot)) throw new Error(JSON.stringify(snapshot));
    return snapshot;
  }

  connect(): Promise<RawClient> {
    return RawClient.connect({ port: this.port });
  }

  scrape(): string {
    return renderPrometheus([this.metrics]);
  }

  close(): void {
    this.#credentials.close();
    this.engine.close();
  }
}
