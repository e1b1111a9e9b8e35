/**
 * Relays on loopback for tests: a listener of which every connection goes to the cluster "svc".
 * What the engine would share with them is made here.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type Cluster,
  ClusterSchema,
  type ProxyConfig,
  ProxyConfigSchema,
} from "../api/gen/mesh/v1/proxy_config_pb.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { seededRandom } from "../core/random.ts";
import { SendPool } from "../io/send-buffer.ts";
import type { SocketAddress } from "../io/socket-address.ts";
import { TcpConnector } from "../io/tcp-connector.ts";
import { listenTcp, type TcpListener } from "../io/tcp-listener.ts";
import { TimerWheel } from "../io/timer-wheel.ts";
import type { MeshIdentity } from "../proxy/identity/mesh-identity.ts";
import { compileSnapshot } from "../proxy/snapshot/compile.ts";
import type { Snapshot } from "../proxy/snapshot/snapshot.ts";
import type { TcpRelay } from "../proxy/tcp/relay.ts";
import type { RelayEnvironment, RelayLimits, RelayTarget } from "../proxy/tcp/relay-environment.ts";
import { relayHandlers, TcpRelays } from "../proxy/tcp/relays.ts";
import { fixedTcpRoute, type TcpRoute } from "../proxy/tcp/tcp-route.ts";
import { upstreamHandlers } from "../proxy/upstream/connection.ts";
import { WaitingUsers } from "../proxy/upstream/pool.ts";
import type { AccessLog } from "../telemetry/access-log.ts";
import { Metrics } from "../telemetry/metrics.ts";
import { renderPrometheus } from "../telemetry/prometheus.ts";

type ClusterInit = Exclude<MessageInitShape<typeof ClusterSchema>, Cluster>;

export interface RelayFixtureOptions {
  /** Of "svc", on 127.0.0.1 where only a port is given. */
  readonly endpoints: readonly (number | SocketAddress)[];
  readonly cluster?: ClusterInit;
  readonly route?: Partial<TcpRoute>;
  readonly target?: Partial<RelayTarget>;
  readonly limits?: Partial<RelayLimits>;
  readonly clock?: Clock;
  readonly accessLog?: AccessLog;
  readonly early?: Uint8Array;
  /** FIN came before the relay began, too. */
  readonly ended?: boolean;
  /** Ports at which the proxy itself listens. */
  readonly isOwn?: (port: number) => boolean;
}

export class RelayFixture {
  readonly metrics = new Metrics();
  readonly relays: TcpRelays;
  readonly snapshot: Snapshot;
  /** In the order in which they were accepted. */
  readonly begun: TcpRelay[] = [];
  readonly #listener: TcpListener;

  constructor(options: RelayFixtureOptions) {
    const { clock = systemClock, early } = options;
    this.snapshot = this.#compile(options, clock);
    const env = relayEnvironment({ ...options, clock });
    this.relays = new TcpRelays({ env, clock, metrics: this.metrics, limits: options.limits });
    const target = this.#target(options);
    const handlers = relayHandlers((socket) => {
      env.tick();
      const relay = this.relays.begin(socket, target, early);
      if (options.ended) relay.ended();
      this.begun.push(relay);
    });
    this.#listener = listenTcp({ hostname: "127.0.0.1", port: 0 }, handlers);
  }

  get port(): number {
    return this.#listener.port;
  }

  scrape(): string {
    return renderPrometheus([this.metrics]);
  }

  /** Lines of a scrape with this text, without their metadata. */
  series(text: string): string[] {
    const lines = this.scrape().split("\n");
    return lines.filter((line) => !line.startsWith("#") && line.includes(text));
  }

  close(): void {
    this.#listener.stop();
    this.relays.close();
    this.snapshot.close();
  }

  #target({ route, target }: RelayFixtureOptions): RelayTarget {
    const cluster = this.snapshot.clusters.get("svc")!;
    return {
      from: "outbound",
      route: { ...fixedTcpRoute("the-route", cluster), ...route },
      destination: undefined,
      source: undefined,
      serverName: "",
      ...target,
    };
  }

  #compile({ cluster, endpoints }: RelayFixtureOptions, clock: Clock): Snapshot {
    const named = { name: "svc", service: "svc", port: 80 };
    const config = create(ProxyConfigSchema, {
      version: "1",
      clusters: [Object.assign(create(ClusterSchema, cluster ?? {}), named)],
      endpointSets: [
        {
          cluster: "svc",
          endpoints: endpoints.map((at) =>
            typeof at === "number" ? { address: "127.0.0.1", port: at } : at,
          ),
        },
      ],
    });
    return compileForRelays(config, this.metrics, clock);
  }
}

/** Compiled and activated. */
export function compileForRelays(config: ProxyConfig, metrics: Metrics, clock: Clock): Snapshot {
  const snapshot = compileSnapshot(config, {
    clock,
    random: seededRandom(1),
    metrics,
    resolve: async () => [],
    source: { service: "caller", version: "" },
    former: undefined,
  });
  if (Array.isArray(snapshot)) throw new Error(JSON.stringify(snapshot));
  snapshot.activate(undefined);
  return snapshot;
}

export interface RelayEnvironmentOptions {
  readonly clock: Clock;
  readonly identity?: MeshIdentity | undefined;
  readonly accessLog?: AccessLog | undefined;
  readonly isOwn?: ((port: number) => boolean) | undefined;
}

/** What an engine would share with its relays. */
export function relayEnvironment(options: RelayEnvironmentOptions): RelayEnvironment {
  const { clock, accessLog, isOwn = () => false } = options;
  const timers = new TimerWheel(clock);
  const sendPool = new SendPool({ lowBytes: 32_768, highBytes: 65_536, maxBytes: 2 << 20 });
  return {
    random: seededRandom(1),
    timers,
    sendPool,
    pools: {
      connector: new TcpConnector(upstreamHandlers, timers),
      waiting: new WaitingUsers(),
      identity: options.identity,
    },
    accessLog,
    isOwnListener: (_from, { port }) => isOwn(port),
    tick() {},
    get nowMs() {
      return clock.nowMs();
    },
    get wallMs() {
      return clock.wallMs();
    },
  };
}
