/**
 * One socket with an HTTP/2 session on it. What the session has to say leaves once a turn of the
 * event loop, in one write; what the kernel does not take stays in the session, which is bounded
 * and lets its streams wait.
 */
import { type Failure, Failures } from "../../core/failure.ts";
import type { MessageHead } from "../../http/message-head.ts";
import type { Session } from "../../http2/session.ts";
import type { SessionSink } from "../../http2/session-sink.ts";
import type { Stream } from "../../http2/stream.ts";
import type { TcpSocket } from "../../io/socket.ts";
import { Timer } from "../../io/timer-wheel.ts";
import type { TurnUser } from "../../io/turn.ts";
import type { Http2Context } from "./http2-context.ts";
import type { StreamUser } from "./stream-user.ts";

export abstract class Http2Connection extends Timer implements TurnUser, SessionSink<StreamUser> {
  readonly context: Http2Context;
  abstract readonly session: Session<StreamUser>;
  /** Undefined before it is open and after it is closed. */
  socket: TcpSocket<unknown> | undefined = undefined;
  #scheduled = false;
  /** The kernel is full: `drained` follows. */
  #full = false;
  #paused = false;
  /** The session is over: the socket closes once everything is sent. */
  #closing = false;

  constructor(context: Http2Context) {
    super();
    this.context = context;
  }

  data(bytes: Uint8Array, from: number, to: number): void {
    const { session } = this;
    if (this.#closing) return;
    this.tick();
    session.receive(bytes, from, to);
    this.touch();
    if (session.isClogged && !this.#paused) {
      this.#paused = true;
      this.socket?.pause();
    }
  }

  /** The session may have something to say: it leaves at the end of the turn. */
  touch(): void {
    if (this.#scheduled || this.#full) return;
    const { session } = this;
    if (session.outputEnd === session.outputStart && !session.isDrained) return;
    this.#scheduled = true;
    this.context.turn.add(this);
  }

  turnEnded(): void {
    this.#scheduled = false;
    this.#send();
  }

  drained(): void {
    this.tick();
    this.#full = false;
    this.#send();
    if (this.#paused && !this.session.isClogged) {
      this.#paused = false;
      this.socket?.resume();
    }
  }

  /** The session knows no clock. */
  protected tick(): void {
    this.session.nowMs = this.context.clock.nowMs();
  }

  /** FIN from the peer: whoever has a stream here gets nothing more. */
  ended(): void {
    this.tick();
    this.#closing = true;
    this.session.close(this.lossFailure(false));
    this.socket?.end();
  }

  closed(reset: boolean): void {
    this.tick();
    this.socket = undefined;
    this.#closing = true;
    this.context.timers.release(this);
    this.session.close(this.lossFailure(reset));
  }

  /** At once, without a word. */
  abort(): void {
    this.socket?.terminate();
  }

  /** What a broken connection is to those who have streams on it. */
  protected abstract lossFailure(reset: boolean): Failure;

  abstract headArrived(stream: Stream<StreamUser>, head: MessageHead): void;

  interimArrived(stream: Stream<StreamUser>, head: MessageHead): void {
    stream.user?.interimArrived(head);
  }

  dataArrived(stream: Stream<StreamUser>, bytes: Uint8Array, from: number, to: number): void {
    stream.user?.dataArrived(bytes, from, to);
  }

  trailersArrived(stream: Stream<StreamUser>, lines: Uint8Array, from: number, to: number): void {
    stream.user?.trailersArrived(lines, from, to);
  }

  streamEnded(stream: Stream<StreamUser>): void {
    stream.user?.messageEnded();
  }

  streamReset(stream: Stream<StreamUser>, failure: Failure): void {
    stream.user?.streamReset(failure);
  }

  streamWritable(stream: Stream<StreamUser>): void {
    stream.user?.writable();
  }

  abstract requestRefused(failure: Failure, detail: string): void;
  abstract settingsArrived(): void;
  abstract goawayArrived(code: number): void;

  pongArrived(): void {}

  sessionFailed(_failure: Failure, _detail: string): void {
    this.#closing = true;
    this.touch();
  }

  /** For a peer that takes nothing of what we have to say. */
  protected get isFull(): boolean {
    return this.#full;
  }

  #send(): void {
    const { session, socket } = this;
    if (socket === undefined) return;
    for (;;) {
      const length = session.outputEnd - session.outputStart;
      if (length === 0) break;
      const taken = socket.write(session.output, session.outputStart, length);
      if (taken < 0) return;
      // Streams that waited for room may put more there.
      if (taken > 0) session.outputTaken(taken);
      if (taken < length) {
        this.#full = true;
        return;
      }
    }
    if (this.#closing || session.isDrained) socket.end();
  }
}

/** The failure of streams whose connection ended: `reset` or orderly. */
export function upstreamLoss(reset: boolean): Failure {
  return reset ? Failures.upstreamReset : Failures.upstreamGone;
}
