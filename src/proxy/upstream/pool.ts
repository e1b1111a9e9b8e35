/**
 * The connections to one endpoint. Idle ones are a stack: the one used last is used next, so that a
 * quiet hour lets the surplus run into its idle limit.
 */
import type { SendPool } from "../../io/send-buffer.ts";
import type { ConnectTarget, TcpConnector } from "../../io/tcp-connector.ts";
import type { TimerWheel } from "../../io/timer-wheel.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { Endpoint, EndpointPool } from "../cluster/endpoint.ts";
import type { Usage } from "../cluster/limits.ts";
import type { MeshIdentity, MeshProtocol } from "../identity/mesh-identity.ts";
import { type ConnectionOwner, UpstreamConnection, type UpstreamUser } from "./connection.ts";
import { MeshDial } from "./mesh-dial.ts";
import type { SessionPool, SessionPools } from "./session-pool.ts";
import type { UpstreamTls } from "./upstream-tls.ts";

export interface PoolParts {
  readonly connector: TcpConnector<UpstreamConnection>;
  readonly sessions: SessionPools;
  readonly timers: TimerWheel;
  readonly sendPool: SendPool;
  readonly idleMs: number;
  readonly waiting: WaitingUsers;
  readonly pools: Set<ConnectionPool>;
  /** Who we are to proxies of the mesh; undefined: nobody. */
  readonly identity: MeshIdentity | undefined;
  /** Connections to proxies whose certificate expired before that are used no more. */
  readonly expiry: { beforeMs: number };
}

export class ConnectionPool implements EndpointPool, ConnectionOwner {
  readonly endpoint: Endpoint;
  /** How its connections are secured, where the cluster says so. */
  readonly tls: UpstreamTls | undefined;
  /** Whom they are to reach, by mutual TLS; "": anybody, in plaintext. */
  readonly identity: string;
  readonly #target: ConnectTarget;
  readonly #parts: PoolParts;
  readonly #idle: UpstreamConnection[] = [];
  #open = 0;
  #draining = false;
  #sessions: SessionPool | undefined = undefined;
  /** The endpoint was said to take the mesh's transport, and does not. */
  #isDirect = false;

  constructor(endpoint: Endpoint, tls: UpstreamTls | undefined, parts: PoolParts) {
    this.endpoint = endpoint;
    this.tls = tls;
    this.identity = identityOf(endpoint, tls, parts.identity);
    this.#parts = parts;
    this.#target = this.#targetFor("mesh-http/1.1");
    parts.pools.add(this);
  }

  /** It is what that cluster's connections need now. */
  isFor({ tls }: Cluster): boolean {
    if (this.tls !== tls) return false;
    return this.identity === identityOf(this.endpoint, tls, this.#parts.identity);
  }

  #targetFor(protocol: MeshProtocol): ConnectTarget {
    const { endpoint, identity } = this;
    const { address, port, facts } = endpoint;
    const mutual = identity === "" ? undefined : this.#parts.identity;
    const tls = this.tls?.to(address) ?? mutual?.clientTls(identity, protocol);
    return { hostname: address, port, tls, from: facts.from };
  }

  get sendPool(): SendPool {
    return this.#parts.sendPool;
  }

  get idle(): number {
    return this.#idle.length;
  }

  /** Idle, busy and connecting. */
  get open(): number {
    return this.#open;
  }

  /** An idle connection for `user`, if there is one. */
  take(user: UpstreamUser): UpstreamConnection | undefined {
    const connection = this.#idle.pop();
    if (connection === undefined) return undefined;
    connection.deadlineMs = 0;
    connection.state = "busy";
    connection.served++;
    connection.user = user;
    return connection;
  }

  /** Makes room for a connection elsewhere. */
  closeOldest(): void {
    this.#idle[0]?.close();
  }

  /** A new connection for `user`, who hears of its opening; the caller has acquired its place. */
  connect(cluster: Cluster, user: UpstreamUser): UpstreamConnection {
    const connection = new UpstreamConnection(this, cluster.limits, user);
    this.#open++;
    const { connectTimeoutMs } = cluster;
    if (this.takesMesh) {
      const direct = (one: UpstreamConnection) => {
        this.#isDirect = true;
        this.#dial(one, connectTimeoutMs);
      };
      connection.attempt = new MeshDial(this.sessions, connection, direct).start(connectTimeoutMs);
    } else this.#dial(connection, connectTimeoutMs);
    return connection;
  }

  /** Its proxy takes connections inside of one, and has not said otherwise. */
  get takesMesh(): boolean {
    return this.endpoint.facts.meshTransport && !this.#isDirect && this.tls === undefined;
  }

  /** The connections to this address that streams share. */
  get sessions(): SessionPool {
    const isForeign = this.tls !== undefined;
    this.#sessions ??= this.#parts.sessions.acquire({ ...this.#targetFor("mesh-h2"), isForeign });
    return this.#sessions;
  }

  /** What was learnt of the peer is no longer sure. */
  forgetProtocol(): void {
    this.#sessions?.spoken.forget();
  }

  #dial(connection: UpstreamConnection, timeoutMs: number): void {
    connection.attempt = this.#parts.connector.connect(this.#target, connection, timeoutMs);
  }

  connectionReleased(connection: UpstreamConnection, nowMs: number): void {
    connection.user = undefined;
    const spent =
      connection.served >= connection.limits.max.requestsPerConnection ||
      connection.peerUntilMs < this.#parts.expiry.beforeMs;
    if (this.#draining || spent || connection.finished || connection.waiting > 0) {
      connection.close();
      return;
    }
    connection.resume();
    connection.state = "idle";
    this.#parts.timers.armAt(connection, nowMs + this.#idleMs(connection));
    this.#idle.push(connection);
    if (this.#parts.waiting.size > 0) this.#parts.waiting.wake(connection.limits.usage);
  }

  connectionRetired(connection: UpstreamConnection): void {
    const at = this.#idle.indexOf(connection);
    if (at !== -1) this.#idle.splice(at, 1);
  }

  connectionEnding(connection: UpstreamConnection): void {
    const { timers, idleMs } = this.#parts;
    timers.arm(connection, idleMs);
  }

  connectionClosed(connection: UpstreamConnection): void {
    this.#parts.timers.release(connection);
    this.connectionRetired(connection);
    this.#open--;
    connection.limits.releaseConnection(this.endpoint);
    if (this.#open === 0 && this.#draining) this.#parts.pools.delete(this);
    if (this.#parts.waiting.size > 0) this.#parts.waiting.wake(connection.limits.usage);
  }

  /** Shorter than the server's own limit: a request must not cross with its FIN. */
  #idleMs({ keptMs }: UpstreamConnection): number {
    const { idleMs } = this.#parts;
    return keptMs === 0 ? idleMs : Math.min(idleMs, keptMs - Math.min(1_000, keptMs / 2));
  }

  /** Those that are idle; the others when they are released. */
  retireExpired(): void {
    const { beforeMs } = this.#parts.expiry;
    for (const connection of [...this.#idle])
      if (connection.peerUntilMs < beforeMs) connection.close();
  }

  drain(): void {
    this.#draining = true;
    this.#sessions?.drain();
    this.#sessions = undefined;
    for (const connection of [...this.#idle]) connection.close();
    if (this.#open === 0) this.#parts.pools.delete(this);
  }
}

/**
 * The pool of an endpoint of that cluster; made at its first use, and anew where the cluster's
 * connections are secured in another way from now on.
 */
export function poolOf(endpoint: Endpoint, cluster: Cluster, parts: PoolParts): ConnectionPool {
  const pool = endpoint.pool;
  if (pool instanceof ConnectionPool && pool.isFor(cluster)) return pool;
  pool?.drain();
  const made = new ConnectionPool(endpoint, cluster.tls, parts);
  endpoint.pool = made;
  return made;
}

/**
 * Whom a connection to it has to reach; "": it is plaintext, or the cluster's own TLS. A proxy that
 * was never given a certificate has none to show, and calls as one that is outside of the mesh.
 */
export function identityOf(
  { facts }: Endpoint,
  tls: UpstreamTls | undefined,
  own: MeshIdentity | undefined,
): string {
  if (facts.identity === "" || tls !== undefined || own === undefined) return "";
  return own.isKnown ? facts.identity : "";
}

/** False: it would be a call in plaintext, which the cluster rules out. */
export function mayCall(
  endpoint: Endpoint,
  { requiresIdentity, tls }: Cluster,
  own: MeshIdentity | undefined,
): boolean {
  return !requiresIdentity || tls !== undefined || identityOf(endpoint, tls, own) !== "";
}

/** Exchanges that wait because their cluster may open no more connections; first come first. */
export class WaitingUsers {
  readonly #byUsage = new Map<Usage, UpstreamUser[]>();

  /** Clusters with somebody waiting. */
  get size(): number {
    return this.#byUsage.size;
  }

  add(usage: Usage, user: UpstreamUser): void {
    const users = this.#byUsage.get(usage);
    if (users === undefined) this.#byUsage.set(usage, [user]);
    else users.push(user);
  }

  remove(usage: Usage, user: UpstreamUser): void {
    const users = this.#byUsage.get(usage);
    const at = users === undefined ? -1 : users.indexOf(user);
    if (users === undefined || at === -1) return;
    users.splice(at, 1);
    if (users.length === 0) this.#byUsage.delete(usage);
  }

  /** The one who waits longest tries again. */
  wake(usage: Usage): void {
    const users = this.#byUsage.get(usage);
    if (users === undefined) return;
    const first = users.shift();
    if (users.length === 0) this.#byUsage.delete(usage);
    first?.upstreamVacancy();
  }
}
