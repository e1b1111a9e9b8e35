/**
 * The HTTP/1.1 forwarding engine of one thread: listeners, connections, pools, and the snapshot
 * that says where requests go.
 *
 *   publish(snapshot) ─▶ listenOutbound / listenInbound ─▶ … ─▶ drain(ms) ─▶ close()
 */
import { assert } from "../core/assert.ts";
import type { Clock } from "../core/clock.ts";
import type { Failure } from "../core/failure.ts";
import { GenerationCell } from "../core/generation.ts";
import type { Log } from "../core/log.ts";
import type { Random } from "../core/random.ts";
import { MessageHead } from "../http/message-head.ts";
import { HeldBytes } from "../io/held-bytes.ts";
import { originalDestination } from "../io/original-destination.ts";
import { SendPool } from "../io/send-buffer.ts";
import type { SocketHandlers, TcpSocket } from "../io/socket.ts";
import type { SocketAddress } from "../io/socket-address.ts";
import { isWithinMachine, setPlainCongestionControl } from "../io/socket-options.ts";
import { TcpConnector } from "../io/tcp-connector.ts";
import { listenTcp, type TcpListener } from "../io/tcp-listener.ts";
import { TimerWheel } from "../io/timer-wheel.ts";
import type { AccessLog } from "../telemetry/access-log.ts";
import type { Counter, Gauge, Metrics } from "../telemetry/metrics.ts";
import { makeLocalCluster } from "./cluster/make-cluster.ts";
import { type EngineStats, engineStats } from "./engine-stats.ts";
import type { ListenerFacts } from "./exchange/downstream-side.ts";
import { type CaptureAddresses, Environment, type Watchers } from "./exchange/environment.ts";
import { fixedRoute } from "./exchange/fixed-route.ts";
import { ForwardedExchange } from "./exchange/forwarded-exchange.ts";
import {
  defaultEngineLimits,
  type EngineLimits,
  http2Times,
  sendLimits,
} from "./exchange/limits.ts";
import { recordRefusal } from "./exchange/record.ts";
import { type EdgeAccept, edgeHandlers } from "./gateway/edge-handlers.ts";
import { type EdgePeer, edgePeer } from "./gateway/edge-peer.ts";
import { EdgeView } from "./gateway/edge-view.ts";
import { behindMutualTls } from "./identity/inbound-tls.ts";
import type { MeshIdentity } from "./identity/mesh-identity.ts";
import {
  type AcceptedCall,
  acceptCaptured,
  type CapturedParts,
  type CapturePort,
} from "./listener/captured.ts";
import { DownstreamConnection, downstreamHandlers } from "./listener/downstream.ts";
import type { AcceptedConnection, DownstreamOwner, Peer } from "./listener/downstream-owner.ts";
import { Http2Downstream } from "./listener/http2-downstream.ts";
import type {
  EdgeOptions,
  InboundOptions,
  ListenAddress,
  OutboundOptions,
} from "./listener/listen-options.ts";
import { type ListenerName, OwnAddresses } from "./listener/own-addresses.ts";
import { behindProxyHeader } from "./listener/proxy-header-gate.ts";
import { emptySnapshot } from "./snapshot/empty-snapshot.ts";
import type { Snapshot } from "./snapshot/snapshot.ts";
import type { UnknownHosts } from "./tcp/unknown-hosts.ts";
import { EventClock } from "./transport/event-clock.ts";
import { Http2Context } from "./transport/http2-context.ts";
import { Http2Stats } from "./transport/http2-stats.ts";
import { upstreamHandlers } from "./upstream/connection.ts";
import { type ConnectionPool, WaitingUsers } from "./upstream/pool.ts";
import { http2UpstreamHandlers, SessionPools } from "./upstream/session-pool.ts";

export interface EngineOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: Metrics;
  readonly log: Log;
  /** What to begin with, activated; undefined: requests are answered 503 until publish(). */
  readonly snapshot?: Snapshot | undefined;
  readonly accessLog?: AccessLog | undefined;
  readonly limits?: Partial<EngineLimits> | undefined;
  /** Connections that the kernel leads here; undefined: none, or they are as any other. */
  readonly capture?: EngineCapture | undefined;
  readonly unknownHosts?: UnknownHosts | undefined;
  /** What is held for peers that do not read, in all engines together; undefined: its own. */
  readonly held?: HeldBytes | undefined;
  /** Who it is to proxies that it calls; undefined: nobody. */
  readonly identity?: MeshIdentity | undefined;
}

export interface EngineCapture extends CapturePort, CaptureAddresses {}

/** Ports of one application that captured connections are led to. */
const INBOUND_PORTS_MAX = 64;
/** For callers that were cut off to take what they are told. */
const LAST_WORDS_MS = 500;
/** Exchange objects kept for reuse. */
const SPARE_EXCHANGES_MAX = 1_024;

export class Engine {
  readonly #options: EngineOptions;
  readonly #env: Environment;
  readonly #pools = new Set<ConnectionPool>();
  readonly #connections = new Set<AcceptedConnection>();
  readonly #spare: ForwardedExchange[] = [];
  readonly #listeners: TcpListener[] = [];
  readonly #own = new OwnAddresses();
  readonly #generations: GenerationCell<Snapshot>;
  readonly #connectionsActive: Gauge;
  readonly #connectionsRefused: Counter;
  /** Of listeners, by name. */
  readonly #owners = new Map<ListenerName, DownstreamOwner>();
  /** Of captured connections to other ports of the application. */
  readonly #ownersAt = new Map<number, DownstreamOwner>();
  #application: InboundOptions | undefined = undefined;
  #onEmpty: (() => void) | undefined;

  constructor(options: EngineOptions) {
    this.#options = options;
    const limits = { ...defaultEngineLimits, ...options.limits };
    const { random, metrics, log } = options;
    const clock = new EventClock(options.clock);
    const timers = new TimerWheel(clock);
    const snapshot = options.snapshot ?? emptySnapshot(options);
    this.#generations = new GenerationCell(snapshot, (former) => former.snapshot.retire());
    const held = options.held ?? new HeldBytes(limits.heldBytesMax);
    const sendPool = new SendPool(sendLimits(limits), undefined, held);
    const http2 = new Http2Context({
      clock,
      timers,
      sendPool,
      requestHead: new MessageHead(limits.head),
      responseHead: new MessageHead(limits.head),
      times: http2Times(limits),
      stats: new Http2Stats({ clock, metrics, log }),
    });
    this.#env = new Environment({
      http2,
      limits,
      clock,
      random,
      timers,
      generations: this.#generations,
      sendPool,
      pools: {
        connector: new TcpConnector(upstreamHandlers, timers),
        identity: options.identity,
        expiry: { beforeMs: 0 },
        sessions: new SessionPools({
          connector: new TcpConnector(http2UpstreamHandlers, timers),
          context: http2,
        }),
        timers,
        sendPool,
        idleMs: limits.upstreamIdleMs,
        waiting: new WaitingUsers(),
        pools: this.#pools,
      },
      isOwnListener: (from, endpoint) => this.#own.has(from, endpoint.address, endpoint.port),
    });
    this.#env.accessLog = options.accessLog;
    this.#env.capture = options.capture;
    this.#env.unknownHosts = options.unknownHosts;
    this.#env.ready = options.snapshot !== undefined;
    this.#env.tick();
    this.#connectionsActive = metrics.gauge(
      "envoy_http_downstream_cx_active",
      "Open downstream connections.",
    );
    this.#connectionsRefused = metrics.counter(
      "envoy_listener_downstream_cx_overflow",
      "Connections refused because there were too many.",
    );
  }

  /** The snapshot that new exchanges begin with. */
  get snapshot(): Snapshot {
    return this.#generations.current.snapshot;
  }

  /** New exchanges begin with it; those that run keep theirs. */
  publish(snapshot: Snapshot): void {
    const former = this.snapshot;
    snapshot.activate(former);
    this.#generations.publish(snapshot);
    this.#env.ready = true;
  }

  /** Who is asked about exchanges, and told of them. */
  get watchers(): Watchers {
    return this.#env;
  }

  /** Throws ListenError. */
  listenOutbound(options: OutboundOptions): TcpListener {
    return this.#listen(options, {
      name: "outbound",
      defaultPort: options.defaultPort ?? 80,
      route: undefined,
    });
  }

  /** Everything goes to the application. Throws ListenError. */
  listenInbound(options: InboundOptions): TcpListener {
    this.#application = options;
    this.#env.tellsPeers = options.tellsPeers === true;
    this.#env.claims = options.security?.claims;
    return this.#listen(options, this.#inboundFacts(options.app.port));
  }

  /** Everything to the application at this port. */
  #inboundFacts(port: number): ListenerFacts {
    const { clock, random, metrics } = this.#options;
    const { app, service, version, protocol = "any", tproxyMark } = this.#application!;
    const { connectTimeoutMs } = this.#env.limits;
    const speaks = port === app.port ? protocol : "any";
    const cluster = makeLocalCluster(
      { ...app, port, service, version, connectTimeoutMs, protocol: speaks, tproxyMark },
      {
        clock,
        random,
        metrics,
        resolve: async () => [],
        source: { service: "", version: "" },
        reporter: "destination",
      },
    );
    return { name: "inbound", defaultPort: port, route: fixedRoute("inbound", cluster) };
  }

  /** A further address for what that listener takes. Throws ListenError. */
  listenBeside(name: ListenerName, at: ListenAddress): TcpListener {
    const owner = this.#owners.get(name);
    assert(owner !== undefined, "a listener is opened before one beside it");
    return this.#listenFor(owner, at);
  }

  /** A gateway's: what its snapshot lets in by this listener. Throws ListenError. */
  listenEdge(options: EdgeOptions): TcpListener {
    const { name, port, tls, header } = options;
    const edge = new EdgeView(name);
    const owner = this.#ownerOf({ name: "outbound", defaultPort: port, route: undefined, edge });
    const accept: EdgeAccept = (socket, facts, source) => {
      if (this.#admits(socket))
        this.#beginEdge(socket, owner, { edge: edgePeer(socket, facts, source), source });
    };
    const handlers = edgeHandlers({ accept, tls, header, timers: this.#env.timers });
    return this.#bind(options.at, owner.facts, handlers);
  }

  /** Accepts no more there; connections that it has accepted live on. */
  closeListener(listener: TcpListener): void {
    const at = this.#listeners.indexOf(listener);
    if (at !== -1) this.#listeners.splice(at, 1);
    this.#own.remove(listener.hostname, listener.port);
    listener.stop();
  }

  stats(): EngineStats {
    return engineStats(this.#connections, this.#pools, this.#env.draining);
  }

  /** Callers in plaintext are let go of, where they may be served no more. */
  retirePlaintext(isStrict: (port: number) => boolean): void {
    const application = this.#application;
    if (application === undefined) return;
    this.#env.tick();
    for (const connection of [...this.#connections]) {
      const { tls, captured, exchanges } = connection;
      if (tls !== undefined || !isStrict(captured?.port ?? application.app.port)) continue;
      if (exchanges === 0) connection.stop();
      else connection.retire?.();
    }
  }

  /** Connections of peers whose certificate expired before that time of day end when they can. */
  retireExpired(beforeMs: number): void {
    for (const connection of [...this.#connections]) {
      const peer = connection.tls?.peer;
      if (peer !== undefined && peer.notAfterMs < beforeMs) connection.retire?.();
    }
    const { expiry, sessions } = this.#env.pools;
    expiry.beforeMs = beforeMs;
    sessions.retireExpired(beforeMs);
    for (const pool of this.#pools) pool.retireExpired();
  }

  /**
   * Accepts no more; `connection: close` from now on. Resolves when all are gone, or in time: those
   * who still wait for an answer then are told, and get a moment to take it.
   */
  drain(deadlineMs: number): Promise<void> {
    for (const listener of this.#listeners.splice(0)) listener.stop();
    this.#env.draining = true;
    this.#env.tick();
    const { nowMs, limits } = this.#env;
    this.#env.graceEndsMs = nowMs + Math.min(limits.drainGraceMs, deadlineMs * 0.8);
    for (const connection of this.#connections) connection.drain();
    if (this.#connections.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const { clock } = this.#options;
      let cancel = clock.after(deadlineMs, () => {
        if (this.stats().exchanges === 0) return resolve();
        cancel = clock.after(LAST_WORDS_MS, resolve);
        this.#stop();
      });
      this.#onEmpty = () => {
        cancel();
        resolve();
      };
    });
  }

  /** Whoever waits for an answer is told that none comes. */
  #stop(): void {
    this.#env.draining = true;
    for (const connection of [...this.#connections]) connection.stop();
  }

  /** Ends everything at once. */
  close(): void {
    for (const listener of this.#listeners.splice(0)) listener.stop();
    this.#stop();
    this.#env.http2.turn.end();
    for (const connection of [...this.#connections]) connection.abort();
    for (const pool of [...this.#pools]) pool.drain();
    this.snapshot.close();
  }

  #listen(address: ListenAddress, facts: ListenerFacts): TcpListener {
    const owner = this.#ownerOf(facts);
    this.#owners.set(facts.name, owner);
    return this.#listenFor(owner, address);
  }

  #listenFor(owner: DownstreamOwner, address: ListenAddress): TcpListener {
    const captured = this.#capturedParts(owner);
    const wantedOf = (socket: TcpSocket<unknown>): SocketAddress | undefined =>
      captured === undefined ? undefined : originalDestination(socket, listener.port);
    const handlers = downstreamHandlers((socket, tls, source) => {
      if (!this.#admits(socket)) return;
      if (isWithinMachine(socket.localAddress, socket.remoteAddress))
        setPlainCongestionControl(socket.fd);
      this.#env.tick();
      const wanted = wantedOf(socket);
      if (captured === undefined || wanted === undefined)
        this.#begin(socket, owner, { source, tls });
      else acceptCaptured(socket, { destination: wanted, source, tls }, captured);
    });
    const secured = this.#secured(owner, handlers, wantedOf);
    const { timers } = this.#env;
    const isInbound = owner.facts.name === "inbound";
    const refused = isInbound ? this.#application?.headerRefused : undefined;
    const guarded = behindProxyHeader(secured, { timers, refused });
    const listener: TcpListener = this.#bind(address, owner.facts, guarded);
    return listener;
  }

  /** With TLS where the application's callers may, or have to, use it. */
  #secured<C>(
    { facts }: DownstreamOwner,
    handlers: SocketHandlers<C>,
    wantedOf: (socket: TcpSocket<unknown>) => SocketAddress | undefined,
  ): SocketHandlers<C> {
    const security = facts.name === "inbound" ? this.#application?.security : undefined;
    if (security === undefined) return handlers;
    const { app } = this.#application!;
    return behindMutualTls(handlers, {
      ...security,
      timers: this.#env.timers,
      portOf: (socket) => wantedOf(socket)?.port ?? app.port,
      clientSpeaksFirst: (port) => port === app.port,
    });
  }

  #bind<C>(address: ListenAddress, facts: ListenerFacts, handlers: SocketHandlers<C>) {
    const listener = listenTcp(address, handlers);
    this.#listeners.push(listener);
    this.#own.add(facts.name, listener.hostname, listener.port);
    return listener;
  }

  #ownerOf(facts: ListenerFacts): DownstreamOwner {
    const owner: DownstreamOwner = {
      env: this.#env,
      facts,
      takeExchange: () => this.#spare.pop() ?? new ForwardedExchange(this.#env),
      giveBack: (exchange) => {
        exchange.reset();
        if (this.#spare.length < SPARE_EXCHANGES_MAX) this.#spare.push(exchange);
      },
      beginHttp2: (former, socket) => this.#beginHttp2(former, socket, owner),
      acceptInner: (socket, claim, { source, tls }) => {
        if (this.#admits(socket)) this.#begin(socket, owner, { source, tls }).claim = claim;
      },
      connectionClosed: (connection) => this.#closed(connection),
      refused: (peer, failure, detail) => this.#refused(peer, failure, detail),
    };
    return owner;
  }

  /** Undefined: none is captured here. */
  #capturedParts(owner: DownstreamOwner): CapturedParts | undefined {
    const { capture } = this.#options;
    if (capture === undefined) return undefined;
    return {
      timers: this.#env.timers,
      port: capture,
      begin: (taken, { early, ended, ...call }) => {
        const connection = this.#begin(taken, this.#ownerAt(owner, call.destination), call);
        if (early.length === 0) return;
        // Its first bytes were looked at, and it has been paused since.
        connection.data(early, 0, early.length);
        taken.resume();
        if (ended) taken.data.ended();
      },
      opened: (connection) => this.#opened(connection),
      closed: (connection) => this.#closed(connection),
    };
  }

  /** Inbound, the port that was wanted is the application's. */
  #ownerAt(owner: DownstreamOwner, { port }: SocketAddress): DownstreamOwner {
    const { facts } = owner;
    if (facts.name === "outbound" || facts.defaultPort === port) return owner;
    const known = this.#ownersAt.get(port);
    if (known !== undefined || this.#ownersAt.size >= INBOUND_PORTS_MAX) return known ?? owner;
    const made = this.#ownerOf(this.#inboundFacts(port));
    this.#ownersAt.set(port, made);
    return made;
  }

  /** False: there are too many, and this one is gone. */
  #admits(socket: TcpSocket<AcceptedConnection>): boolean {
    if (this.#connections.size < this.#env.limits.downstreamConnectionsMax) return true;
    this.#connectionsRefused.increment();
    socket.terminate();
    return false;
  }

  #begin(
    socket: TcpSocket<AcceptedConnection>,
    owner: DownstreamOwner,
    { destination, source, tls }: Partial<AcceptedCall>,
  ): DownstreamConnection {
    this.#env.tick();
    const connection = new DownstreamConnection(owner, socket);
    connection.captured = destination;
    connection.source = source;
    connection.tls = tls;
    socket.data = connection;
    this.#opened(connection);
    connection.accepted();
    return connection;
  }

  #beginEdge(
    socket: TcpSocket<AcceptedConnection>,
    owner: DownstreamOwner,
    { edge, source }: { readonly edge: EdgePeer; readonly source: SocketAddress | undefined },
  ): void {
    this.#env.tick();
    const connection =
      edge.tls?.protocol === "h2"
        ? new Http2Downstream(owner, socket, { edge, source, captured: undefined })
        : new DownstreamConnection(owner, socket, edge);
    if (connection instanceof DownstreamConnection) connection.source = source;
    socket.data = connection;
    this.#opened(connection);
    connection.accepted();
  }

  #opened(connection: AcceptedConnection): void {
    this.#connections.add(connection);
    this.#connectionsActive.increment();
  }

  #beginHttp2(
    former: AcceptedConnection,
    socket: TcpSocket<unknown>,
    owner: DownstreamOwner,
  ): AcceptedConnection {
    const connection = new Http2Downstream(owner, socket, former);
    socket.data = connection;
    this.#connections.delete(former);
    this.#connections.add(connection);
    if (this.#env.draining) connection.drain();
    return connection;
  }

  #closed(connection: AcceptedConnection): void {
    if (!this.#connections.delete(connection)) return;
    this.#connectionsActive.decrement();
    if (this.#connections.size === 0) this.#onEmpty?.();
  }

  #refused(peer: Peer, failure: Failure, detail: string): void {
    recordRefusal(this.#env, peer, failure, detail);
  }
}
