/**
 * The connections of one sidecar that are passed on as they are, beside its engines for requests:
 * local ports that stand for a destination, and what others call of an application that speaks no
 * HTTP. Snapshots, metrics, access log and endpoints are those of the engines.
 */
import type { Clock } from "../../core/clock.ts";
import { Failures } from "../../core/failure.ts";
import type { Log } from "../../core/log.ts";
import type { Random } from "../../core/random.ts";
import type { HeldBytes } from "../../io/held-bytes.ts";
import { SendPool } from "../../io/send-buffer.ts";
import type { TcpSocket } from "../../io/socket.ts";
import type { SocketAddress } from "../../io/socket-address.ts";
import { isWithinMachine, setPlainCongestionControl } from "../../io/socket-options.ts";
import { TcpConnector } from "../../io/tcp-connector.ts";
import { type ListenOptions, listenTcp, type TcpListener } from "../../io/tcp-listener.ts";
import { TimerWheel } from "../../io/timer-wheel.ts";
import type { AccessLog } from "../../telemetry/access-log.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { RelayAccess } from "../access/relay-gate.ts";
import { type LocalApplication, makeLocalCluster } from "../cluster/make-cluster.ts";
import { behindMutualTls, type InboundSecurity } from "../identity/inbound-tls.ts";
import type { MeshIdentity } from "../identity/mesh-identity.ts";
import type { CapturedCall } from "../listener/captured.ts";
import { type ListenerName, OwnAddresses } from "../listener/own-addresses.ts";
import { behindProxyHeader, type HeaderRefused } from "../listener/proxy-header-gate.ts";
import type { RelayPolicy } from "../policy/relay-policy.ts";
import { upstreamHandlers } from "../upstream/connection.ts";
import { WaitingUsers } from "../upstream/pool.ts";
import { listenForDestination } from "./destination-listener.ts";
import { TargetFinder, type TcpView } from "./find-target.ts";
import type { TcpRelay } from "./relay.ts";
import type { RelayEnvironment, RelayTarget } from "./relay-environment.ts";
import { relayHandlers, TcpRelays } from "./relays.ts";
import { fixedTcpRoute, type TcpRoute } from "./tcp-route.ts";
import { UnknownHosts } from "./unknown-hosts.ts";

export interface TcpPlaneParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: Metrics;
  readonly log: Log;
  /** Of callers, in each direction. */
  readonly connectionsMax: number;
  /** What is held for peers that do not read. */
  readonly held: HeldBytes;
  /** Who it is to proxies that it calls; absent: nobody. */
  readonly identity?: MeshIdentity;
}

export interface TcpPlaneStats {
  readonly connections: number;
  readonly bytesWaiting: number;
}

/** Of a client that begins TLS with somebody behind us. */
export interface NamedCall {
  /** As clients know it. */
  readonly port: number;
  /** "": it asks for nobody. */
  readonly serverName: string;
  /** Who it is, where the socket does not tell. */
  readonly source: SocketAddress | undefined;
  /** What it has sent. */
  readonly early: Uint8Array;
}

export interface ApplicationGuards {
  /** Connections begin with a header of the PROXY protocol; absent: they do not. */
  readonly refused?: HeaderRefused | undefined;
  /** Absent: no TLS ends here. */
  readonly security?: InboundSecurity | undefined;
}

interface Taken {
  readonly call: CapturedCall;
  readonly asked: Omit<RelayTarget, "route">;
  /** Undefined: it is refused. */
  readonly target: RelayTarget | undefined;
}

/** Ports of one application that captured connections are led to. */
const APPLICATION_PORTS_MAX = 64;
const SEND_BUFFER_BYTES = 64 * 1024;
/** A receive brings up to 512 KiB after the producer was paused. */
const SEND_BUFFER_BYTES_MAX = 2 * 1024 * 1024;
const WALL_READ_MS = 1_000;

export class TcpPlane {
  /** Where this proxy itself listens, whoever opened it: what goes there is a loop. */
  readonly own = new OwnAddresses();
  readonly unknownHosts: UnknownHosts;
  readonly #parts: TcpPlaneParts;
  readonly #env: PlaneEnvironment;
  readonly #outbound: TcpRelays;
  readonly #inbound: TcpRelays;
  readonly #targets: TargetFinder;
  readonly #listeners: Record<ListenerName, TcpListener[]> = { outbound: [], inbound: [] };
  /** By port of the application. */
  readonly #applicationRoutes = new Map<number, TcpRoute>();
  #view: TcpView | undefined = undefined;

  constructor(parts: TcpPlaneParts) {
    const { clock, metrics, log } = parts;
    this.#parts = parts;
    this.#env = new PlaneEnvironment(parts, this.own);
    this.#outbound = new TcpRelays({ env: this.#env, clock, metrics });
    this.#inbound = new TcpRelays({ env: this.#env, clock, metrics });
    this.unknownHosts = new UnknownHosts(log, clock);
    this.#targets = new TargetFinder(this.unknownHosts);
  }

  /** Undefined: none. */
  set accessLog(log: AccessLog | undefined) {
    this.#env.accessLog = log;
  }

  /** Who is asked about connections of the one and the other direction; undefined: nobody. */
  usePolicy(outbound: RelayPolicy | undefined, inbound: RelayPolicy | undefined): void {
    this.#outbound.policy = outbound;
    this.#inbound.policy = inbound;
  }

  /** Who may open connections of that direction; undefined: everybody. */
  useAccess(direction: ListenerName, gate: RelayAccess | undefined): void {
    const relays = direction === "outbound" ? this.#outbound : this.#inbound;
    relays.access = gate;
  }

  /** An activated snapshot; new connections begin with it. */
  publish(view: TcpView): void {
    this.#view = view;
  }

  /** `destination`: "mysql.default.svc.cluster.local:3306". Throws ListenError. */
  listenFor(destination: string, at: ListenOptions): TcpListener {
    const listener = listenForDestination(at, destination, {
      relays: this.#outbound,
      targets: this.#targets,
      view: () => this.#view,
      admits: () => this.#outbound.size < this.#parts.connectionsMax,
    });
    return this.#opened("outbound", listener);
  }

  /**
   * Everything goes to the application. Throws ListenError.
   */
  listenApplication(
    app: LocalApplication,
    at: ListenOptions,
    { refused, security }: ApplicationGuards = {},
  ): TcpListener {
    const { connectionsMax } = this.#parts;
    const target = {
      from: "inbound",
      route: this.#applicationRoute(app)!,
      destination: undefined,
      source: undefined,
      serverName: "",
    } as const;
    const handlers = relayHandlers((socket, tls, source) => {
      if (this.#inbound.size >= connectionsMax) return socket.terminate();
      this.#env.tick();
      if (isWithinMachine(socket.localAddress, socket.remoteAddress))
        setPlainCongestionControl(socket.fd);
      const isKnown = source !== undefined || tls !== undefined;
      this.#inbound.begin(socket, isKnown ? { ...target, source, tls } : target);
    });
    const { timers } = this.#env;
    const portOf = (): number => app.port;
    const clientSpeaksFirst = (): boolean => false;
    const secured =
      security === undefined
        ? handlers
        : behindMutualTls(handlers, { ...security, timers, portOf, clientSpeaksFirst });
    const guarded = behindProxyHeader(secured, { timers, refused });
    return this.#opened("inbound", listenTcp(at, guarded));
  }

  /** Whether connections to a destination of that name are relayed. */
  relays(named: string, destination: SocketAddress): boolean {
    return this.#view?.tcp.findNamed(named, destination, "") !== undefined;
  }

  /** A captured connection of the application; `named`: the destination, where it is known. */
  takeOutbound(socket: TcpSocket<unknown>, call: CapturedCall, named: string): void {
    const { destination, serverName } = call;
    const from = "outbound" as const;
    const asked = { from, destination, source: undefined, serverName, named };
    const target =
      this.#view === undefined
        ? undefined
        : this.#targets.find(this.#view, asked, socket.remoteAddress);
    this.#take(this.#outbound, socket as TcpSocket<TcpRelay>, { call, asked, target });
  }

  /** A connection from outside by the name that it asks for; false: nobody has that name here. */
  takeNamed(socket: TcpSocket<unknown>, { port, serverName, source, early }: NamedCall): boolean {
    const from = source?.address ?? socket.remoteAddress;
    const route = this.#view?.tcp.find({ address: "", port }, serverName, from);
    if (route === undefined) return false;
    this.#env.tick();
    const target = { from: "outbound", route, destination: undefined, source, serverName } as const;
    if (this.#outbound.size >= this.#parts.connectionsMax) socket.terminate();
    else this.#outbound.begin(socket as TcpSocket<TcpRelay>, target, early);
    return true;
  }

  /** A captured connection to a port of the application. */
  takeInbound(socket: TcpSocket<unknown>, call: CapturedCall, app: LocalApplication): void {
    const { destination, serverName, source, tls } = call;
    const from = "inbound" as const;
    const asked = { from, destination: undefined, source, serverName, tls };
    const route = this.#applicationRoute({ ...app, port: destination.port });
    const target = route === undefined ? undefined : { ...asked, route };
    this.#take(this.#inbound, socket as TcpSocket<TcpRelay>, { call, asked, target });
  }

  #take(relays: TcpRelays, socket: TcpSocket<TcpRelay>, { call, asked, target }: Taken): void {
    this.#env.tick();
    if (relays.size >= this.#parts.connectionsMax) return socket.terminate();
    if (target === undefined) return relays.refuse(socket, asked, Failures.noRoute);
    const relay = relays.begin(socket, target, call.early);
    if (call.ended) relay.ended();
  }

  /** Undefined: there are too many ports already. */
  #applicationRoute(app: LocalApplication): TcpRoute | undefined {
    const known = this.#applicationRoutes.get(app.port);
    if (known !== undefined || this.#applicationRoutes.size >= APPLICATION_PORTS_MAX) return known;
    const { clock, random, metrics } = this.#parts;
    const nobody = { service: "", version: "" };
    const parts = { clock, random, metrics, resolve: async () => [], source: nobody };
    const cluster = makeLocalCluster(app, { ...parts, reporter: "destination" });
    const made = fixedTcpRoute("inbound", cluster);
    this.#applicationRoutes.set(app.port, made);
    return made;
  }

  /** Callers whose certificate expired before that time of day are let go of. */
  retireExpired(beforeMs: number): void {
    this.#inbound.retireExpired(beforeMs);
  }

  /** The same of callers in plaintext, where they are let in no more. */
  retirePlaintext(isStrict: (port: number) => boolean): void {
    this.#inbound.retirePlaintext(isStrict);
  }

  stats(): TcpPlaneStats {
    const both = [this.#outbound, this.#inbound];
    return {
      connections: both.reduce((sum, { size }) => sum + size, 0),
      bytesWaiting: both.reduce((sum, { bytesWaiting }) => sum + bytesWaiting, 0),
    };
  }

  /** Accepts no more. Resolves when the connections have ended, or in time; then ends them. */
  async drain(direction: ListenerName, deadlineMs: number): Promise<void> {
    for (const listener of this.#listeners[direction].splice(0)) listener.stop();
    const relays = direction === "outbound" ? this.#outbound : this.#inbound;
    await relays.drain(deadlineMs);
    relays.close();
  }

  close(): void {
    for (const direction of ["outbound", "inbound"] as const)
      for (const listener of this.#listeners[direction].splice(0)) listener.stop();
    this.#outbound.close();
    this.#inbound.close();
  }

  #opened(direction: ListenerName, listener: TcpListener): TcpListener {
    this.#listeners[direction].push(listener);
    this.own.add(direction, listener.hostname, listener.port);
    return listener;
  }
}

/** As an engine's, for who has none. */
class PlaneEnvironment implements RelayEnvironment {
  readonly random: Random;
  readonly timers: TimerWheel;
  readonly sendPool: SendPool;
  readonly pools: RelayEnvironment["pools"];
  readonly isOwnListener: RelayEnvironment["isOwnListener"];
  accessLog: AccessLog | undefined = undefined;
  nowMs = 0;
  readonly #clock: Clock;
  #wallReadMs = Number.NEGATIVE_INFINITY;
  #wallOffsetMs = 0;

  constructor({ clock, random, held, identity }: TcpPlaneParts, own: OwnAddresses) {
    this.#clock = clock;
    this.random = random;
    this.timers = new TimerWheel(clock);
    const limits = {
      lowBytes: SEND_BUFFER_BYTES / 2,
      highBytes: SEND_BUFFER_BYTES,
      maxBytes: SEND_BUFFER_BYTES_MAX,
    };
    this.sendPool = new SendPool(limits, undefined, held);
    this.pools = {
      connector: new TcpConnector(upstreamHandlers, this.timers),
      waiting: new WaitingUsers(),
      identity,
    };
    this.isOwnListener = (from, { address, port }) => own.has(from, address, port);
    this.tick();
  }

  tick(): void {
    this.nowMs = this.#clock.nowMs();
  }

  /** Follows a change of the wall clock within a second. */
  get wallMs(): number {
    if (this.nowMs - this.#wallReadMs > WALL_READ_MS) {
      this.#wallReadMs = this.nowMs;
      this.#wallOffsetMs = this.#clock.wallMs() - this.nowMs;
    }
    return this.nowMs + this.#wallOffsetMs;
  }
}
