/**
 * One exchange's stream of a shared connection.
 *
 *   waiting ──(a session with room)──▶ open ──release──▶ closed
 *      └──────────────── failed, discard ──────────────────▲
 */
import type { Failure } from "../../core/failure.ts";
import type { MessageHead } from "../../http/message-head.ts";
import { ErrorCode } from "../../http2/error-code.ts";
import type { SendPool } from "../../io/send-buffer.ts";
import type { ConnectCause } from "../../io/tcp-connector.ts";
import type { Http2Connection } from "../transport/http2-connection.ts";
import { StreamSocket } from "../transport/stream-socket.ts";
import type { StreamUser } from "../transport/stream-user.ts";
import type { UpstreamUser } from "./connection.ts";
import { UpstreamSide } from "./upstream-side.ts";

const NO_BYTES = new Uint8Array(0);

/** A user that takes its answer as messages, not as the bytes of a connection. */
export interface UpstreamStreamUser extends UpstreamUser {
  upstreamInterim(head: MessageHead): void;
  /** `ended`: there is no content. */
  upstreamHead(head: MessageHead, ended: boolean): void;
  /** bytes[from, to) hold good during the call only. */
  upstreamContent(bytes: Uint8Array, from: number, to: number): void;
  /** The message is whole; trailers[from, to): whole lines, which never change; may be none. */
  upstreamComplete(trailers: Uint8Array, from: number, to: number): void;
  /** The stream is over, early; the user has it no more. */
  upstreamReset(failure: Failure): void;
}

/** Who waits for a session with room: told once, and never before it has asked. */
export interface SessionWaiter {
  sessionReady(connection: SessionConnection): void;
  sessionFailed(cause: ConnectCause, detail: string): void;
}

/** A connection of a session pool, as those who open streams on it know it. */
export interface SessionConnection extends Http2Connection {
  /** The peer takes connections inside of this one. */
  readonly takesMesh: boolean;
  /** Streams that were opened on it. */
  opened: number;
  /** A stream has come to its end: there may be room for one that waits. */
  streamReleased(): void;
}

export class UpstreamStream extends UpstreamSide implements StreamUser, SessionWaiter {
  readonly sendPool: SendPool;
  #user: UpstreamStreamUser | undefined;
  #connection: SessionConnection | undefined = undefined;
  #socket: StreamSocket<undefined> | undefined = undefined;
  #giveUp: ((waiter: SessionWaiter) => void) | undefined;
  /** Lines, the arena's. */
  #trailers: Uint8Array = NO_BYTES;
  #trailersFrom = 0;
  #trailersTo = 0;
  /** Arrived while paused: the peer may not send as much again before resume. */
  #unconsumed = 0;
  /** What waits to be sent holds up the end. */
  #ending = false;
  #requestEnded = false;

  constructor(
    user: UpstreamStreamUser,
    sendPool: SendPool,
    giveUp: (waiter: SessionWaiter) => void,
  ) {
    super();
    this.#user = user;
    this.sendPool = sendPool;
    this.#giveUp = giveUp;
  }

  /** Its connection had streams before: the peer may have gone meanwhile. */
  get reused(): boolean {
    return this.#connection !== undefined && this.#connection.opened > 1;
  }

  override get takesWebsocket(): boolean {
    return this.#connection?.session.peer.connectProtocol === true;
  }

  /** False: the connection has no room after all. */
  openOn(connection: SessionConnection): boolean {
    const stream = connection.session.open(this);
    if (stream === undefined) return false;
    connection.opened++;
    this.#giveUp = undefined;
    this.#connection = connection;
    this.stream = stream;
    this.#socket = new StreamSocket(undefined, stream, connection);
    this.socket = this.#socket;
    return true;
  }

  sessionReady(connection: SessionConnection): void {
    if (this.openOn(connection)) this.#user?.upstreamOpened();
    else this.sessionFailed("failed", "");
  }

  sessionFailed(cause: ConnectCause, detail: string): void {
    const user = this.#user;
    this.#giveUp = undefined;
    this.#user = undefined;
    user?.upstreamFailed(cause, detail);
  }

  /** Somebody else hears of what comes from now on. */
  handTo(user: UpstreamStreamUser): void {
    this.#user = user;
  }

  override touch(): void {
    this.#connection?.touch();
  }

  override endRequest(trailers: Uint8Array | undefined): void {
    if (this.#requestEnded || this.#socket === undefined) return;
    this.#requestEnded = true;
    this.#socket.trailers = trailers;
    this.shutdown();
  }

  override pause(): void {
    this.paused = true;
  }

  override resume(): void {
    if (!this.paused) return;
    this.paused = false;
    if (this.#unconsumed > 0) this.stream?.consumed(this.#unconsumed);
    this.#unconsumed = 0;
    this.#connection?.touch();
  }

  /** Both halves are over, or we are done with what the peer still sends. */
  override release(_nowMs: number): void {
    this.#leave();
  }

  override close(): void {
    this.#leave();
  }

  override discard(): void {
    this.stream?.reset(ErrorCode.cancel);
    this.#leave();
  }

  override abort(): void {
    const user = this.#user;
    this.discard();
    user?.upstreamClosed(true);
  }

  override expire(): void {}

  headArrived(head: MessageHead): void {
    this.#user?.upstreamHead(head, this.stream?.remoteEnded === true);
  }

  interimArrived(head: MessageHead): void {
    this.#user?.upstreamInterim(head);
  }

  dataArrived(bytes: Uint8Array, from: number, to: number): void {
    const user = this.#user;
    if (user === undefined) return;
    user.upstreamContent(bytes, from, to);
    if (this.paused) this.#unconsumed += to - from;
    else this.stream?.consumed(to - from);
  }

  trailersArrived(lines: Uint8Array, from: number, to: number): void {
    this.#trailers = lines;
    this.#trailersFrom = from;
    this.#trailersTo = to;
  }

  messageEnded(): void {
    this.#user?.upstreamComplete(this.#trailers, this.#trailersFrom, this.#trailersTo);
  }

  streamReset(failure: Failure): void {
    const user = this.#user;
    this.#leave();
    user?.upstreamReset(failure);
  }

  writable(): void {
    if (this.flush() < 0) return;
    this.#user?.upstreamDrained();
  }

  #leave(): void {
    this.#user = undefined;
    const { stream } = this;
    const connection = this.#connection;
    this.#giveUp?.(this);
    this.#giveUp = undefined;
    if (stream === undefined || connection === undefined || this.#ending) return;
    this.#ending = true;
    this.forget();
    stream.release();
    connection.touch();
    connection.streamReleased();
  }
}
