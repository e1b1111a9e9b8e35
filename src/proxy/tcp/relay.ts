/**
 * One accepted connection and one to an endpoint, with bytes both ways, as they are.
 *
 *   connecting ──▶ relaying ──FIN of both──▶ ending ──▶ closed
 *     │  ▲  │         │ └─ upstream gone after its FIN ─▶ lingering ──▶ closed
 *     │  └──┘ retry   └─ reset, idle ─▶ closed
 *     └─ failed ─▶ closed
 *
 * Each FIN is passed on by itself, behind what is still to be sent; a reset is passed on as one.
 * Nothing is read from a side while the other is full, or not there yet: that is the bound.
 */
import { assert } from "../../core/assert.ts";
import { type Failure, Failures } from "../../core/failure.ts";
import type { SendPool } from "../../io/send-buffer.ts";
import type { TcpSocket } from "../../io/socket.ts";
import { freeSpent } from "../../io/spent-bytes.ts";
import { type ConnectCause, failureOf } from "../../io/tcp-connector.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { Endpoint } from "../cluster/endpoint.ts";
import type { RequestStats } from "../cluster/request-stats.ts";
import type { TcpSeries } from "../cluster/tcp-stats.ts";
import type { UpstreamConnection, UpstreamUser } from "../upstream/connection.ts";
import { mayCall } from "../upstream/pool.ts";
import { SocketSide } from "../upstream/socket-side.ts";
import { EndpointDial } from "./endpoint-dial.ts";
import { originalEndpoint } from "./original-endpoint.ts";
import { encodeProxyV1, encodeProxyV2 } from "./proxy-protocol.ts";
import type { RelayEnvironment, RelayLimits, RelayTarget } from "./relay-environment.ts";
import { localOf, nameOf, type RelayFacts, remoteOf, writeRelayRecord } from "./relay-record.ts";
import type { RelayWatch } from "./relay-watch.ts";

export interface RelayOwner {
  readonly env: RelayEnvironment;
  readonly limits: RelayLimits;
  /** Who refuses it, for the log; undefined: nobody. */
  denies(relay: TcpRelay): string | undefined;
  /** Who is asked about it; undefined: nobody. */
  watch(relay: TcpRelay): RelayWatch | undefined;
  relayClosed(relay: TcpRelay): void;
}

type RelayState = "connecting" | "relaying" | "ending" | "lingering" | "closed";

const NO_BYTES = new Uint8Array(0);

export class TcpRelay extends SocketSide implements UpstreamUser, RelayFacts {
  readonly target: RelayTarget;
  readonly cluster: Cluster;
  /** "10.0.0.7:51234"; only where there is an access log. */
  readonly remoteName: string;
  readonly localName: string;
  readonly startMs: number;
  readonly startWallMs: number;
  endpoint: Endpoint | undefined = undefined;
  failure: Failure | undefined = undefined;
  /** Why the last connect failed; "": it did not. */
  detail = "";
  attempts = 0;
  /** From the downstream. */
  bytesReceived = 0;
  bytesSent = 0;
  readonly #owner: RelayOwner;
  readonly #idleMs: number;
  #state: RelayState = "connecting";
  #upstream: UpstreamConnection | undefined = undefined;
  /** Where it counts as active. */
  #occupied: Endpoint | undefined = undefined;
  /** What came before the upstream was there. */
  #early: Uint8Array = NO_BYTES;
  #series: TcpSeries | undefined = undefined;
  #watch: RelayWatch | undefined = undefined;
  #downstreamEnded = false;
  #upstreamEnded = false;
  #lingered = 0;
  /** It holds a place among the cluster's pending ones, or its retries. */
  #pending = false;
  #retrying = false;

  /** `socket.data` is the caller's to set. Begin it with begin(). */
  constructor(owner: RelayOwner, socket: TcpSocket<unknown>, target: RelayTarget) {
    super();
    const { env, limits } = owner;
    this.#owner = owner;
    this.socket = socket;
    this.target = target;
    this.cluster = target.route.clusters.choose(env.random());
    this.#idleMs = target.route.idleMs || limits.idleMs;
    this.startMs = env.nowMs;
    this.startWallMs = env.wallMs;
    const logged = env.accessLog !== undefined;
    this.remoteName = logged ? nameOf(target.source ?? remoteOf(socket)) : "";
    this.localName = logged ? nameOf(target.destination ?? localOf(socket)) : "";
  }

  get state(): RelayState {
    return this.#state;
  }

  /** All that is held for either side. */
  get bytesWaiting(): number {
    return this.waiting + this.#early.length + (this.#upstream?.waiting ?? 0);
  }

  protected override get sendPool(): SendPool {
    return this.#owner.env.sendPool;
  }

  /** `early`: what has been received already; the relay's to keep. */
  begin(early: Uint8Array): void {
    this.cluster.hold();
    this.#early = early;
    this.pause();
    const by = this.#owner.denies(this);
    if (by !== undefined) {
      this.detail = by;
      return this.#fail(Failures.accessDenied);
    }
    this.#watch = this.#owner.watch(this);
    if (this.#watch === undefined) this.admitted();
    else this.#watch.begin();
  }

  /** Nothing speaks against it. */
  admitted(): void {
    const failure = this.#connect(undefined);
    if (failure !== undefined) this.#fail(failure);
  }

  denied(failure: Failure): void {
    this.#fail(failure);
  }

  /** Policy is told how it goes on. */
  continued(): void {
    if (this.#state === "relaying") this.#watch?.continued();
  }

  data(bytes: Uint8Array): void {
    const { env } = this.#owner;
    env.tick();
    const upstream = this.#upstream;
    if (this.#state !== "relaying" || upstream === undefined) return this.#receiveUnasked(bytes);
    this.bytesReceived += bytes.length;
    this.#series!.received.add(bytes.length);
    upstream.send(bytes, 0, bytes.length);
    if (upstream.isFull) this.pause();
    env.timers.armAt(this, env.nowMs + this.#idleMs);
    freeSpent(bytes);
  }

  /** What was received is freed here. */
  holds(): boolean {
    return true;
  }

  drained(): void {
    const { env } = this.#owner;
    env.tick();
    if (this.flush() < 0) return;
    if (this.#state === "lingering") return this.#armLinger();
    env.timers.armAt(this, env.nowMs + this.#idleMs);
    if (this.isLow) this.#upstream?.resume();
  }

  /** FIN from the client. */
  ended(): void {
    this.#owner.env.tick();
    this.#downstreamEnded = true;
    if (this.#state === "lingering") return this.end();
    if (this.#state !== "relaying") return;
    this.#upstream?.shutdown();
    if (this.#upstreamEnded) this.#endBoth();
  }

  /** Also instead of FIN, once we have sent ours. */
  closed(reset: boolean): void {
    if (this.#state === "closed") return;
    const { env } = this.#owner;
    env.tick();
    if (this.#upstreamEnded && !reset) this.#downstreamEnded = true;
    else if (this.#state === "connecting" || this.#state === "relaying")
      this.failure ??= Failures.downstreamGone;
    this.#state = "closed";
    this.forget();
    env.timers.release(this);
    const upstream = this.#upstream;
    this.#upstream = undefined;
    // What was complete is delivered, though nobody is left to hear the answer.
    if (this.#downstreamEnded && this.failure !== Failures.streamIdle) upstream?.close();
    else upstream?.discard();
    this.#releaseEndpoint();
    this.#finish();
  }

  override expire(): void {
    this.#owner.env.tick();
    if (this.#state === "lingering") return this.waiting > 0 ? this.abort() : this.end();
    if (this.#state === "relaying") this.failure = Failures.streamIdle;
    this.stop();
  }

  /** In an orderly way, and only where neither side has said anything for so long. */
  endIfQuiet(quietMs: number): void {
    const { env } = this.#owner;
    const quietSinceMs = this.deadlineMs - this.#idleMs;
    if (
      this.#state === "relaying" &&
      env.nowMs - quietSinceMs >= quietMs &&
      this.bytesWaiting === 0
    )
      this.stop();
  }

  /** Ends it: in an orderly way where nothing is under way, else so that both sides can see it. */
  stop(): void {
    const upstream = this.#upstream;
    const idle = this.waiting === 0 && (upstream === undefined || upstream.waiting === 0);
    if (this.#state !== "relaying" || !idle) return this.abort();
    this.#endBoth();
  }

  upstreamOpened(): void {
    const { env } = this.#owner;
    env.tick();
    const { endpoint, cluster } = this;
    const upstream = this.#upstream;
    assert(endpoint !== undefined && upstream !== undefined, "it was connecting");
    this.#releaseWait();
    cluster.succeeded(endpoint);
    this.#state = "relaying";
    this.#series = this.#statsOf(endpoint.stats).tcp.series;
    this.#series.opened.increment();
    this.#greet(upstream);
    const early = this.#early;
    this.#early = NO_BYTES;
    if (early.length > 0) {
      this.bytesReceived += early.length;
      this.#series.received.add(early.length);
      upstream.send(early, 0, early.length);
    }
    if (this.#downstreamEnded) upstream.shutdown();
    if (!upstream.isFull) this.resume();
    env.timers.armAt(this, env.nowMs + this.#idleMs);
  }

  upstreamFailed(cause: ConnectCause, detail: string): void {
    this.#owner.env.tick();
    const { cluster } = this;
    const tried = this.endpoint;
    this.#upstream = undefined;
    const isTls = failureOf(cause) === Failures.upstreamTls && detail !== "";
    this.detail = isTls ? `${cause}: ${detail}` : cause;
    const { series } = cluster.stats;
    if (cause === "timeout") series.connectTimeouts.increment();
    else series.connectFailures.increment();
    if (tried !== undefined) cluster.failed(tried);
    this.#releaseWait();
    this.#releaseEndpoint();
    if (this.socket === undefined) return;
    const failure = this.#retry(tried) ?? failureOf(cause);
    if (this.#upstream === undefined) this.#fail(failure);
  }

  upstreamData(bytes: Uint8Array, from: number, to: number): void {
    const { env } = this.#owner;
    env.tick();
    const length = to - from;
    this.bytesSent += length;
    this.#series!.sent.add(length);
    this.send(bytes, from, length);
    if (this.isFull) this.#upstream?.pause();
    env.timers.armAt(this, env.nowMs + this.#idleMs);
  }

  upstreamDrained(): void {
    const { env } = this.#owner;
    env.tick();
    env.timers.armAt(this, env.nowMs + this.#idleMs);
    if (this.#upstream?.isLow === true) this.resume();
  }

  /** FIN from the upstream. */
  upstreamEnded(): void {
    this.#owner.env.tick();
    this.#upstreamEnded = true;
    if (this.#downstreamEnded) this.#endBoth();
    else this.shutdown();
  }

  /** Also instead of FIN, once we have sent ours. */
  upstreamClosed(reset: boolean): void {
    this.#owner.env.tick();
    this.#upstream = undefined;
    this.#releaseEndpoint();
    if (this.#upstreamEnded) return this.#linger();
    if (this.#downstreamEnded && !reset) return this.#endBoth();
    this.failure ??= reset ? Failures.upstreamReset : Failures.upstreamGone;
    this.abort();
  }

  upstreamVacancy(): void {
    assert(false, "a relay does not wait for a connection of another");
  }

  /** Undefined: under way. */
  #connect(avoid: Endpoint | undefined): Failure | undefined {
    const { cluster, target } = this;
    const { env } = this.#owner;
    const endpoint = this.#pick(avoid);
    if (endpoint === undefined) {
      cluster.stats.series.noneHealthy.increment();
      return cluster.lacksIdentities ? Failures.noPeerIdentity : Failures.noUpstream;
    }
    if (endpoint === avoid) return failureOf("failed");
    if (env.isOwnListener(target.from, endpoint)) return Failures.loop;
    if (!mayCall(endpoint, cluster, env.pools.identity)) return Failures.noOwnIdentity;
    const { limits } = cluster;
    if (!limits.tryAcquirePending()) return Failures.overflow;
    if (!limits.tryAcquireConnection()) {
      limits.releasePending();
      return Failures.overflow;
    }
    this.#pending = true;
    this.attempts++;
    this.endpoint = endpoint;
    this.#occupied = endpoint;
    cluster.begin(endpoint);
    this.#upstream = new EndpointDial(endpoint, env).connect(cluster, this);
    return undefined;
  }

  #pick(avoid: Endpoint | undefined): Endpoint | undefined {
    const { cluster } = this;
    if (!cluster.original) return cluster.pick(avoid);
    if (cluster.callers !== undefined) return cluster.callers.find(this.socket!.remoteAddress);
    return originalEndpoint(cluster, this.target.destination);
  }

  /** Another endpoint, where there is one. Undefined: under way, or not to be tried. */
  #retry(tried: Endpoint | undefined): Failure | undefined {
    const { cluster } = this;
    if (this.attempts >= this.#owner.limits.connectAttempts || cluster.original) return undefined;
    if (!cluster.limits.tryAcquireRetry()) return undefined;
    this.#retrying = true;
    const failure = this.#connect(tried);
    if (failure === undefined) return undefined;
    this.#releaseWait();
    return failure.origin === "upstream" ? undefined : failure;
  }

  #greet(upstream: UpstreamConnection): void {
    const { route, source, destination } = this.target;
    if (route.proxyProtocol === 0) return;
    const from = source ?? remoteOf(this.socket!);
    const to = destination ?? localOf(this.socket!);
    const header = route.proxyProtocol === 1 ? encodeProxyV1(from, to) : encodeProxyV2(from, to);
    upstream.send(header, 0, header.length);
  }

  /** Paused, and yet: what was on its way; or nobody is there to be given it. */
  #receiveUnasked(bytes: Uint8Array): void {
    if (this.#state === "connecting") {
      this.#early = this.#early.length === 0 ? bytes : Buffer.concat([this.#early, bytes]);
      return;
    }
    this.#lingered += bytes.length;
    if (this.#lingered > this.#owner.limits.lingerBytesMax) this.abort();
  }

  /** Both have said all they had to say; what waits is still delivered. */
  #endBoth(): void {
    const { env } = this.#owner;
    const upstream = this.#upstream;
    this.#state = "ending";
    this.#upstream = undefined;
    upstream?.close();
    this.#releaseEndpoint();
    env.timers.armAt(this, env.nowMs + this.#idleMs);
    this.end();
  }

  /**
   * The upstream sent FIN and then went: the client gets all of what came before. Closing while it
   * still sends would reset the connection under it, so what it sends is read for a while.
   */
  #linger(): void {
    this.#state = "lingering";
    if (this.#downstreamEnded) return this.end();
    this.resume();
    this.#armLinger();
  }

  /** A client that takes the rest slowly has the time that any connection has. */
  #armLinger(): void {
    const { env, limits } = this.#owner;
    env.timers.armAt(this, env.nowMs + (this.waiting > 0 ? this.#idleMs : limits.lingerMs));
  }

  #fail(failure: Failure): void {
    this.failure = failure;
    this.abort();
  }

  #releaseWait(): void {
    const { limits } = this.cluster;
    if (this.#pending) limits.releasePending();
    if (this.#retrying) limits.releaseRetry();
    this.#pending = false;
    this.#retrying = false;
  }

  /** It stays known, for the record. */
  #releaseEndpoint(): void {
    this.#releaseWait();
    if (this.#occupied === undefined) return;
    this.cluster.end(this.#occupied);
    this.#occupied = undefined;
  }

  #statsOf(stats: RequestStats): RequestStats {
    return this.target.tls === undefined ? stats : stats.mutual;
  }

  #finish(): void {
    const stats = this.#statsOf(this.endpoint?.stats ?? this.cluster.localStats);
    if (this.#series === undefined) stats.tcp.series.opened.increment();
    stats.tcp.closed(this.failure);
    writeRelayRecord(this, this.#owner.env);
    this.#watch?.closed();
    this.cluster.release();
    this.#owner.relayClosed(this);
  }
}
