/**
 * The HTTP/2 connections to one address, shared by everything that goes there: the streams of
 * exchanges, and connections inside of connections. One is enough for most; another is opened when
 * its streams run out.
 */
import { type Failure, Failures } from "../../core/failure.ts";
import type { MessageHead } from "../../http/message-head.ts";
import { Session } from "../../http2/session.ts";
import { defaultSessionLimits } from "../../http2/session-limits.ts";
import type { Stream } from "../../http2/stream.ts";
import type { TcpSocket } from "../../io/socket.ts";
import { freeSpent } from "../../io/spent-bytes.ts";
import type {
  ConnectAttempt,
  ConnectCause,
  ConnectHandlers,
  ConnectTarget,
  TcpConnector,
} from "../../io/tcp-connector.ts";
import type { TlsFacts } from "../../io/tls-facts.ts";
import type { ClientTls } from "../../io/tls-settings.ts";
import { Http2Connection, upstreamLoss } from "../transport/http2-connection.ts";
import type { Http2Context } from "../transport/http2-context.ts";
import {
  MESH_CLAIM_FRAME,
  MESH_SETTING,
  MESH_STREAMS,
  MESH_VERSION,
} from "../transport/mesh-socket.ts";
import type { StreamUser } from "../transport/stream-user.ts";
import { meshPeerUntilMs } from "./connection.ts";
import { PeerProtocol } from "./peer-protocol.ts";
import {
  type SessionConnection,
  type SessionWaiter,
  UpstreamStream,
  type UpstreamStreamUser,
} from "./upstream-stream.ts";

const limits = { ...defaultSessionLimits, streamsMax: MESH_STREAMS };
const meshOffer: readonly (readonly [number, number])[] = [[MESH_SETTING, MESH_VERSION]];
/** For a peer to say that it speaks HTTP/2, once it has accepted. */
const SETTINGS_MS = 1_000;
/** Connections to one address; above that, exchanges wait for the end of others. */
const CONNECTIONS_MAX = 64;

export interface SessionTarget extends ConnectTarget {
  /** TLS there is no proxy's of the mesh: nobody is offered its transport. */
  readonly isForeign: boolean;
}

export interface SessionPoolParts {
  readonly connector: TcpConnector<Http2Upstream>;
  readonly context: Http2Context;
}

export class SessionPool {
  /** What was learnt of the peer by trying. */
  readonly spoken = new PeerProtocol();
  readonly #target: SessionTarget;
  readonly #parts: SessionPoolParts;
  readonly #onEmpty: (pool: SessionPool) => void;
  readonly #connections: Http2Upstream[] = [];
  readonly #waiting: SessionWaiter[] = [];
  readonly #giveUp = (waiter: SessionWaiter): void => {
    const at = this.#waiting.indexOf(waiter);
    if (at !== -1) this.#waiting.splice(at, 1);
  };
  /** Endpoints that use it. */
  #users = 0;

  constructor(
    target: SessionTarget,
    parts: SessionPoolParts,
    onEmpty: (pool: SessionPool) => void,
  ) {
    this.#target = target;
    this.#parts = parts;
    this.#onEmpty = onEmpty;
  }

  get open(): number {
    return this.#connections.length;
  }

  get streams(): number {
    return this.#connections.reduce((sum, { session }) => sum + session.streamCount, 0);
  }

  retain(): void {
    this.#users++;
  }

  /** An endpoint has gone; the last one ends the connections, each after its streams. */
  drain(): void {
    if (--this.#users > 0) return;
    for (const connection of [...this.#connections]) connection.drain();
    if (this.#connections.length === 0) this.#onEmpty(this);
  }

  /** A stream that is open, or one that waits for a session: `upstreamOpened` follows. */
  stream(user: UpstreamStreamUser, timeoutMs: number): UpstreamStream {
    const side = new UpstreamStream(user, this.#parts.context.sendPool, this.#giveUp);
    const connection = this.#withRoom();
    if (connection === undefined || !side.openOn(connection)) this.wait(side, timeoutMs);
    return side;
  }

  /** As `stream`, for any waiter; it is told at the end of the turn at the earliest. */
  wait(waiter: SessionWaiter, timeoutMs: number): void {
    this.#waiting.push(waiter);
    const ready = this.#withRoom();
    if (ready !== undefined) return ready.admitSoon();
    if (this.#connections.some(({ isOpening }) => isOpening)) return;
    if (this.#connections.length < CONNECTIONS_MAX) this.#connect(timeoutMs);
  }

  giveUp(waiter: SessionWaiter): void {
    this.#giveUp(waiter);
  }

  /** Those that wait, as far as there is room. */
  admit(connection: Http2Upstream): void {
    while (this.#waiting.length > 0 && connection.hasRoom)
      this.#waiting.shift()!.sessionReady(connection);
    if (this.#waiting.length === 0 || this.#connections.some(({ isOpening }) => isOpening)) return;
    if (this.#connections.length < CONNECTIONS_MAX) this.#connect(connection.timeoutMs);
  }

  /** No HTTP/2 came of it; `answered`: the peer said something else. */
  refused(connection: Http2Upstream, answered: boolean): void {
    if (this.#connections.every(({ session }) => !session.isReady))
      this.spoken.refused(answered, this.#parts.context.clock.nowMs());
    this.failed(connection, "protocol");
  }

  failed(connection: Http2Upstream, cause: ConnectCause, detail = ""): void {
    this.remove(connection);
    if (this.#connections.some(({ isOpening }) => isOpening)) return;
    for (const waiter of this.#waiting.splice(0)) waiter.sessionFailed(cause, detail);
  }

  remove(connection: Http2Upstream): void {
    const at = this.#connections.indexOf(connection);
    if (at !== -1) this.#connections.splice(at, 1);
    if (this.#connections.length === 0 && this.#users <= 0) this.#onEmpty(this);
  }

  /** It is gone or takes no new streams: whoever waited for it needs another. */
  replace(connection: Http2Upstream): void {
    this.remove(connection);
    if (this.#waiting.length > 0 && this.#connections.length === 0)
      this.#connect(connection.timeoutMs);
  }

  /** No new streams on those whose peer's certificate expired before that time of day. */
  retireExpired(beforeMs: number): void {
    for (const connection of [...this.#connections])
      if (connection.peerUntilMs < beforeMs) connection.retire();
  }

  #withRoom(): Http2Upstream | undefined {
    const connections = this.#connections;
    for (let i = 0; i < connections.length; i++) if (connections[i]!.hasRoom) return connections[i];
    return undefined;
  }

  #connect(timeoutMs: number): void {
    const connection = new Http2Upstream(this, this.#parts.context, {
      timeoutMs,
      isForeign: this.#target.isForeign,
    });
    this.#connections.push(connection);
    connection.attempt = this.#parts.connector.connect(this.#target, connection, timeoutMs);
  }
}

export class Http2Upstream extends Http2Connection implements SessionConnection {
  readonly session: Session<StreamUser>;
  readonly timeoutMs: number;
  readonly #pool: SessionPool;
  attempt: ConnectAttempt | undefined = undefined;
  opened = 0;
  /** When its certificate expires, as time of day. */
  peerUntilMs = Number.POSITIVE_INFINITY;
  readonly #isForeign: boolean;
  #admitting = false;
  #gone = false;
  #introduced = false;

  constructor(
    pool: SessionPool,
    context: Http2Context,
    { timeoutMs, isForeign }: { readonly timeoutMs: number; readonly isForeign: boolean },
  ) {
    super(context);
    this.#pool = pool;
    this.timeoutMs = timeoutMs;
    this.#isForeign = isForeign;
    this.session = new Session<StreamUser>({
      role: "client",
      sink: this,
      head: context.responseHead,
      arena: context.arena,
      limits,
      settings: isForeign ? [] : meshOffer,
      schemeIsHttps: isForeign,
    });
  }

  /** Neither open nor failed: the peer has not said what it takes. */
  get isOpening(): boolean {
    return !this.#gone && !this.session.isReady;
  }

  get hasRoom(): boolean {
    return !this.#gone && this.session.isReady && this.session.room > 0;
  }

  get takesMesh(): boolean {
    return this.session.peer.valueOf(MESH_SETTING) !== undefined;
  }

  connected(socket: TcpSocket<unknown>, tls: TlsFacts | undefined): void {
    this.socket = socket;
    this.attempt = undefined;
    this.peerUntilMs = meshPeerUntilMs(tls);
    if (tls !== undefined && tls.protocol !== "h2" && tls.protocol !== "mesh-h2") {
      this.connectFailed("tls-failed", "no-common-protocol: the server did not agree on h2");
      return this.abort();
    }
    this.watch();
    this.session.start();
    this.touch();
    const { timers } = this.context;
    timers.arm(this, Math.min(this.timeoutMs, SETTINGS_MS));
  }

  connectFailed(cause: ConnectCause, detail: string): void {
    this.#gone = true;
    this.#pool.failed(this, cause, detail);
  }

  /** Room for those that wait, as soon as whoever is at work now has finished. */
  admitSoon(): void {
    if (this.#admitting) return;
    this.#admitting = true;
    this.context.turn.add(this);
  }

  override turnEnded(): void {
    if (this.#admitting) {
      this.#admitting = false;
      this.tick();
      this.#pool.admit(this);
    }
    super.turnEnded();
  }

  override streamReleased(): void {
    super.streamReleased();
    this.admitSoon();
  }

  /** It ends after what is there; whoever comes gets another connection. */
  retire(): void {
    if (this.#gone) return;
    super.drain();
    this.#leave();
  }

  override drain(): void {
    this.attempt?.cancel();
    if (this.socket === undefined) return this.#leave();
    super.drain();
  }

  /** It did not say in time that it speaks HTTP/2, or something else is late. */
  override expire(): void {
    if (this.session.isReady || this.#gone) return super.expire();
    this.#gone = true;
    this.#pool.refused(this, false);
    this.abort();
  }

  override ended(): void {
    const opening = this.isOpening;
    this.#gone = true;
    // First: the socket closes in the call, and nobody may take that for room for another one.
    if (opening) this.#pool.refused(this, false);
    super.ended();
    if (!opening) this.#leave();
  }

  override closed(reset: boolean): void {
    const opening = this.isOpening;
    this.#gone = true;
    super.closed(reset);
    if (opening) this.#pool.refused(this, false);
    else this.#leave();
  }

  headArrived(stream: Stream<StreamUser>, head: MessageHead): void {
    stream.user?.headArrived(head);
  }

  requestRefused(): void {}

  settingsArrived(): void {
    this.#pool.spoken.forget();
    this.watchSidecar();
    this.#introduce();
    this.admitSoon();
  }

  goawayArrived(): void {
    this.#leave();
  }

  override sessionFailed(failure: Failure, detail: string): void {
    const opening = this.isOpening;
    this.#gone = true;
    super.sessionFailed(failure, detail);
    if (opening) this.#pool.refused(this, true);
    else this.#leave();
  }

  protected get isSidecar(): boolean {
    return this.takesMesh;
  }

  protected silence(): Failure {
    return Failures.upstreamSilent;
  }

  protected lossFailure(reset: boolean): Failure {
    return this.session.isReady ? upstreamLoss(reset) : Failures.connectFailure;
  }

  /** To a sidecar: for whom all streams are, before the first of them. */
  #introduce(): void {
    const { meshClaim } = this.context;
    if (this.#introduced || this.#isForeign || !this.takesMesh || meshClaim.length === 0) return;
    this.#introduced = true;
    this.session.extend(MESH_CLAIM_FRAME, meshClaim);
  }

  /** No new streams. */
  #leave(): void {
    this.#gone = true;
    this.#pool.replace(this);
  }
}

export const http2UpstreamHandlers: ConnectHandlers<Http2Upstream> = {
  open(socket, tls) {
    socket.data.connected(socket, tls);
  },
  data(socket, bytes) {
    socket.data.data(bytes, 0, bytes.length);
    if (!socket.data.keeps) freeSpent(bytes);
  },
  drain(socket) {
    socket.data.drained();
  },
  end(socket) {
    socket.data.ended();
  },
  close(socket, error) {
    socket.data.closed(error !== undefined && error !== null);
  },
  connectFailed(connection, cause, detail) {
    connection.connectFailed(cause, detail);
  },
};

/** One pool for each address and way to secure it, whatever cluster names it. */
export class SessionPools {
  readonly #byTarget = new Map<ClientTls | undefined, Map<string, SessionPool>>();
  readonly #parts: SessionPoolParts;

  constructor(parts: SessionPoolParts) {
    this.#parts = parts;
  }

  /** For one more endpoint at this address; give it back with drain(). */
  acquire(target: SessionTarget): SessionPool {
    const { tls, from } = target;
    const key = `${target.hostname} ${target.port} ${from?.address ?? ""}`;
    const pools = this.#byTarget.get(tls) ?? new Map<string, SessionPool>();
    this.#byTarget.set(tls, pools);
    let pool = pools.get(key);
    if (pool === undefined) {
      pool = new SessionPool(target, this.#parts, (empty) => {
        if (pools.get(key) === empty) pools.delete(key);
        if (pools.size === 0 && this.#byTarget.get(tls) === pools) this.#byTarget.delete(tls);
      });
      pools.set(key, pool);
    }
    pool.retain();
    return pool;
  }

  retireExpired(beforeMs: number): void {
    for (const pools of this.#byTarget.values())
      for (const pool of pools.values()) pool.retireExpired(beforeMs);
  }

  get open(): number {
    let open = 0;
    for (const pools of this.#byTarget.values())
      for (const pool of pools.values()) open += pool.open;
    return open;
  }
}
