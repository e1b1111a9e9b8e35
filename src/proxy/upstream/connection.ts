/**
 * One connection to an endpoint. It carries bytes for one user at a time and understands none.
 *
 *   connecting ──▶ busy ◀──▶ idle
 *        │           │         │
 *        └───────────┴─────────┴──▶ (closing) ──▶ closed
 *
 * An idle connection expects nothing: bytes, FIN and time all close it.
 */

import type { SendPool } from "../../io/send-buffer.ts";
import type { TcpSocket } from "../../io/socket.ts";
import { freeSpent } from "../../io/spent-bytes.ts";
import type { ConnectAttempt, ConnectCause, ConnectHandlers } from "../../io/tcp-connector.ts";
import type { TlsFacts } from "../../io/tls-facts.ts";
import type { Endpoint } from "../cluster/endpoint.ts";
import type { Limits } from "../cluster/limits.ts";
import { UpstreamSide } from "./upstream-side.ts";

/** Who uses a connection: an exchange or a mirrored request. */
export interface UpstreamUser {
  upstreamOpened(): void;
  /** It could not be opened; the user has no connection any more. */
  upstreamFailed(cause: ConnectCause, detail: string): void;
  /** bytes[from, to) hold good during the call only. */
  upstreamData(bytes: Uint8Array, from: number, to: number): void;
  /** Room to send again: see waiting. */
  upstreamDrained(): void;
  /** FIN: nothing more will come. */
  upstreamEnded(): void;
  /** The user has no connection any more. */
  upstreamClosed(reset: boolean): void;
  /** A connection may be had now; for users that wait for one. */
  upstreamVacancy(): void;
}

/** The pool, as its connections know it. */
export interface ConnectionOwner {
  readonly endpoint: Endpoint;
  readonly sendPool: SendPool;
  connectionReleased(connection: UpstreamConnection, nowMs: number): void;
  /** It is closing: not to be given to anybody any more. */
  connectionRetired(connection: UpstreamConnection): void;
  /** It ends once its peer has taken what waits; told again when it has taken some. */
  connectionEnding(connection: UpstreamConnection): void;
  connectionClosed(connection: UpstreamConnection): void;
}

export class UpstreamConnection extends UpstreamSide {
  readonly owner: ConnectionOwner;
  /** Where its place in the cluster's connections is counted. */
  readonly limits: Limits;
  user: UpstreamUser | undefined;
  state: "connecting" | "busy" | "idle" | "closing" | "closed" = "connecting";
  attempt: ConnectAttempt | undefined = undefined;
  /** Exchanges that it was given. */
  served = 1;
  /** The server has sent FIN. */
  finished = false;
  /** When the certificate of a proxy expires, as time of day; others have no end. */
  peerUntilMs = Number.POSITIVE_INFINITY;

  constructor(owner: ConnectionOwner, limits: Limits, user: UpstreamUser) {
    super();
    this.owner = owner;
    this.limits = limits;
    this.user = user;
  }

  protected override get sendPool(): SendPool {
    return this.owner.sendPool;
  }

  /** It has answered an exchange before this one: the server may have closed it meanwhile. */
  get reused(): boolean {
    return this.served > 1;
  }

  /** The limit of being idle, or of ending. */
  override expire(): void {
    if (this.state === "idle") this.close();
    else if (this.state === "closing") this.abort();
  }

  override release(nowMs: number): void {
    this.owner.connectionReleased(this, nowMs);
  }

  override discard(): void {
    this.user = undefined;
    if (this.state === "connecting") {
      this.attempt?.cancel();
      this.closed(false);
    } else {
      this.#retire();
      this.abort();
    }
  }

  override close(): void {
    this.user = undefined;
    if (this.state === "closed" || this.state === "closing") return;
    this.#retire();
    if (this.waiting > 0) this.owner.connectionEnding(this);
    this.end();
  }

  data(bytes: Uint8Array, from: number, to: number): void {
    if (this.user === undefined) this.discard();
    else this.user.upstreamData(bytes, from, to);
  }

  /** Users copy what they keep: see UpstreamUser.upstreamData. */
  holds(): boolean {
    return false;
  }

  drained(): void {
    const waiting = this.flush();
    if (waiting < 0) return;
    if (this.user !== undefined) this.user.upstreamDrained();
    else if (waiting > 0) this.owner.connectionEnding(this);
  }

  /** FIN from the server. */
  ended(): void {
    this.finished = true;
    if (this.user === undefined) this.close();
    else this.user.upstreamEnded();
  }

  opened(socket: TcpSocket<unknown>, tls?: TlsFacts): void {
    this.socket = socket;
    this.peerUntilMs = meshPeerUntilMs(tls);
    this.attempt = undefined;
    this.state = "busy";
    this.user?.upstreamOpened();
  }

  failed(cause: ConnectCause, detail: string): void {
    const user = this.user;
    this.user = undefined;
    this.closed(false);
    user?.upstreamFailed(cause, detail);
  }

  closed(reset: boolean): void {
    if (this.state === "closed") return;
    const user = this.user;
    this.user = undefined;
    this.state = "closed";
    this.forget();
    this.owner.connectionClosed(this);
    user?.upstreamClosed(reset);
  }

  #retire(): void {
    if (this.state === "idle") this.owner.connectionRetired(this);
    if (this.state !== "closed") this.state = "closing";
  }
}

/** Of a connection to a proxy of the mesh; others' certificates are their own business. */
export function meshPeerUntilMs(tls: TlsFacts | undefined): number {
  const isMesh = tls?.protocol.startsWith("mesh-") === true;
  return (isMesh ? tls.peer?.notAfterMs : undefined) ?? Number.POSITIVE_INFINITY;
}

export const upstreamHandlers: ConnectHandlers<UpstreamConnection> = {
  open(socket, tls) {
    socket.data.opened(socket, tls);
  },
  data(socket, bytes) {
    const hasUser = socket.data.user !== undefined;
    socket.data.data(bytes, 0, bytes.length);
    if (hasUser) freeSpent(bytes);
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
    connection.failed(cause, detail);
  },
};
