/**
 * One socket with an HTTP/2 session on it. What the session has to say leaves once a turn of the
 * event loop, in one write; what the kernel does not take stays in the session, which is bounded
 * and lets its streams wait.
 *
 * One timer watches over everything that a peer may keep us waiting for; it looks when the nearest
 * of these times has come, and is never later than the idle limit:
 *
 *   SETTINGS, their acknowledgement, the rest of a head ── late ─▶ GOAWAY, closed
 *   room in the kernel; from sidecars any sign of life ─── late ─▶ closed
 *   the answer to the PING of a drain ──────────────────── late ─▶ GOAWAY with the last stream
 *   a stream ───────────────────────────────────────────── late ─▶ drained
 *   the end of a connection that was held back for a flood ──────▶ closed
 */
import { type Failure, Failures } from "../../core/failure.ts";
import type { MessageHead } from "../../http/message-head.ts";
import { ErrorCode } from "../../http2/error-code.ts";
import type { Session } from "../../http2/session.ts";
import type { SessionSink } from "../../http2/session-sink.ts";
import type { Stream } from "../../http2/stream.ts";
import { Held, type Holder } from "../../io/held-bytes.ts";
import type { TcpSocket } from "../../io/socket.ts";
import { Timer } from "../../io/timer-wheel.ts";
import type { TurnUser } from "../../io/turn.ts";
import type { Http2Context } from "./http2-context.ts";
import type { StreamUser } from "./stream-user.ts";

/** After FIN, for the peer to send its own. */
const LINGER_MS = 1_000;

export abstract class Http2Connection
  extends Timer
  implements TurnUser, Holder, SessionSink<StreamUser>
{
  readonly context: Http2Context;
  abstract readonly session: Session<StreamUser>;
  /** Undefined before it is open and after it is closed. */
  socket: TcpSocket<unknown> | undefined = undefined;
  /** Somebody still uses what arrived last. Set by whoever does, in the call that brings it. */
  keeps = false;
  #scheduled = false;
  /** The kernel is full: `drained` follows. */
  #full = false;
  #paused = false;
  /** The session is over: the socket closes once everything is sent. */
  #closing = false;
  /** It is closing, and neither read nor ended until then; 0: it is not held back. */
  #heldUntilMs = 0;
  /** FIN was sent. */
  #finished = false;
  #openedMs = 0;
  /** When the peer last said something, or took something. */
  #heardMs = 0;
  /** When there was a stream last. */
  #usedMs = 0;
  /** Since when the kernel takes nothing; 0: it does. */
  #fullSinceMs = 0;
  /** When GOAWAY was sent that names no last stream; 0: it was not. */
  #drainedMs = 0;
  #held: Held | undefined = undefined;

  constructor(context: Http2Context) {
    super();
    this.context = context;
  }

  data(bytes: Uint8Array, from: number, to: number): void {
    const { session } = this;
    this.keeps = false;
    if (this.#closing) return;
    const { clock } = this.context;
    session.nowMs = clock.hold();
    this.#heardMs = session.nowMs;
    session.receive(bytes, from, to);
    clock.release();
    this.touch();
    if (session.halfSinceMs !== 0) this.#watchBy(session.halfSinceMs + this.context.times.headMs);
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
    this.#fullSinceMs = 0;
    this.#heardMs = this.session.nowMs;
    this.#send();
    if (this.#paused && !this.session.isClogged && this.#heldUntilMs === 0) {
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
    if (this.#heldUntilMs !== 0) this.context.offenders.letGo();
    this.#held?.set(0);
    this.session.close(this.lossFailure(reset));
  }

  /** At once, without a word. */
  abort(): void {
    this.socket?.terminate();
  }

  /** The process holds too much for peers that do not read, and for this one longest. */
  shed(): void {
    this.tick();
    this.session.fail(Failures.overloaded, ErrorCode.enhanceYourCalm);
    this.abort();
  }

  /** The same, and it is one of the peer's streams: who has too many of those goes as a whole. */
  streamShed(): void {
    this.tick();
    // A sidecar brings the streams of many clients.
    if (!this.isSidecar) this.session.untaken();
    this.touch();
  }

  /** Takes no new streams; closes after those that there are. */
  drain(): void {
    this.tick();
    this.session.drain();
    this.#drainedMs = this.session.nowMs;
    this.#watchBy(this.#drainedMs + this.context.times.graceMs);
    this.touch();
  }

  /** A stream has come to its end. */
  streamReleased(): void {
    this.#usedMs = this.context.clock.nowMs();
  }

  /** From now on: the socket is open. */
  protected watch(): void {
    this.tick();
    const { nowMs } = this.session;
    this.#openedMs = nowMs;
    this.#heardMs = nowMs;
    this.#usedMs = nowMs;
    this.#watchBy(nowMs + this.context.times.headMs);
  }

  override expire(): void {
    this.tick();
    const { session } = this;
    const { nowMs } = session;
    if (this.#closing && nowMs < this.#heldUntilMs) return this.#watchBy(this.#heldUntilMs);
    if (this.#closing) return this.abort();
    const late = this.#overdue(nowMs);
    if (late !== undefined) return this.#giveUp(late);
    if (session.streamCount > 0) this.#usedMs = nowMs;
    else if (nowMs >= this.#usedMs + this.context.times.idleMs && !session.isGoingAway)
      this.drain();
    if (this.#drainedMs !== 0 && nowMs >= this.#drainedMs + this.context.times.graceMs)
      session.finishDrain();
    if (this.isSidecar && nowMs >= this.#heardMs + this.context.times.silenceMs) session.ping();
    this.touch();
    this.#watchBy(this.#nextLook(nowMs));
  }

  /** The peer is one of ours, and known to answer PING. */
  protected abstract get isSidecar(): boolean;

  #overdue(nowMs: number): Failure | undefined {
    const { session } = this;
    const { headMs, stallMs, pongMs } = this.context.times;
    const { halfSinceMs, pingedAtMs, isServer } = session;
    const isSettled = session.isReady && session.isAcknowledged;
    if (!isSettled && nowMs >= this.#openedMs + headMs) return Failures.settingsTimeout;
    if (isServer && halfSinceMs !== 0 && nowMs >= halfSinceMs + headMs) return Failures.headTimeout;
    if (this.#full && nowMs >= this.#fullSinceMs + stallMs) return this.silence(true);
    if (!this.isSidecar || pingedAtMs === 0) return undefined;
    return nowMs >= Math.max(this.#heardMs, pingedAtMs) + pongMs ? this.silence(false) : undefined;
  }

  /** What it is when the peer takes nothing, or says nothing. */
  protected abstract silence(takesNothing: boolean): Failure;

  #giveUp(failure: Failure): void {
    const code =
      failure === Failures.settingsTimeout ? ErrorCode.settingsTimeout : ErrorCode.enhanceYourCalm;
    this.session.fail(failure, code);
    const { settingsTimeout, headTimeout } = Failures;
    // Whoever takes or says nothing will not hear this either.
    if (failure !== settingsTimeout && failure !== headTimeout) this.abort();
  }

  #nextLook(nowMs: number): number {
    const { session } = this;
    const { idleMs, headMs, stallMs, silenceMs, pongMs, graceMs } = this.context.times;
    const { halfSinceMs, pingedAtMs } = session;
    let next = Math.max(this.#usedMs + idleMs, nowMs + graceMs);
    const by = (ms: number): void => {
      if (ms < next) next = ms;
    };
    if (!session.isReady || !session.isAcknowledged) by(this.#openedMs + headMs);
    if (session.isServer && halfSinceMs !== 0) by(halfSinceMs + headMs);
    if (this.#full) by(this.#fullSinceMs + stallMs);
    if (this.isSidecar && pingedAtMs !== 0) by(Math.max(this.#heardMs, pingedAtMs) + pongMs);
    else if (this.isSidecar) by(Math.max(this.#heardMs + silenceMs, nowMs + 1));
    return next;
  }

  /** Looks at that time, or earlier. */
  #watchBy(ms: number): void {
    if (this.deadlineMs === 0 || ms < this.deadlineMs) this.context.timers.armAt(this, ms);
  }

  /** The peer has turned out to be a sidecar: it is to show signs of life. */
  protected watchSidecar(): void {
    if (this.isSidecar) this.#watchBy(this.session.nowMs + this.context.times.silenceMs);
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
    if (this.session.failure === undefined) this.context.stats.count(failure);
    stream.user?.streamReset(failure);
  }

  streamWritable(stream: Stream<StreamUser>): void {
    stream.user?.writable();
  }

  abstract requestRefused(failure: Failure, detail: string): void;
  abstract settingsArrived(): void;
  abstract goawayArrived(code: number): void;

  pongArrived(): void {}

  sessionFailed(failure: Failure, detail: string): void {
    this.#closing = true;
    const { remoteAddress = "", remotePort = 0 } = this.socket ?? {};
    const host = remoteAddress.includes(":") ? `[${remoteAddress}]` : remoteAddress;
    this.context.stats.ended(failure, detail, `${host}:${remotePort}`);
    this.#watchBy(this.session.nowMs + this.context.times.graceMs);
    this.touch();
  }

  /**
   * For whoever floods: it hears why at once, and the rest of what it sends stays with the kernel.
   * An end at once would only let it begin anew.
   */
  protected holdBack(): void {
    if (this.socket === undefined) return;
    const endMs = this.context.offenders.holdBack(this.session.nowMs);
    if (endMs === undefined) return;
    this.#heldUntilMs = endMs;
    this.socket.pause();
    // Later than what an ending connection is watched by.
    this.context.timers.armAt(this, endMs);
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
      if (taken < length) return this.#becomeFull(taken > 0);
    }
    this.#held?.set(0);
    if ((this.#closing || session.isDrained) && !this.#finished) this.#finish(socket);
  }

  /** What the peer still sends is read for a while: a reset would take our last words from it. */
  #finish(socket: TcpSocket<unknown>): void {
    if (this.#heldUntilMs !== 0) return;
    this.#finished = true;
    this.#closing = true;
    socket.shutdown();
    this.#watchBy(this.session.nowMs + LINGER_MS);
  }

  /** The kernel has no room: `drained` follows, if the peer reads. */
  #becomeFull(moved: boolean): void {
    const { session, context } = this;
    this.#full = true;
    this.#fullSinceMs = session.nowMs;
    this.#watchBy(session.nowMs + context.times.stallMs);
    const { held } = context.sendPool;
    if (held === undefined) return;
    this.#held ??= new Held(held, this);
    this.#held.set(session.output.length);
    if (moved) this.#held.moved();
  }
}

/** The failure of streams whose connection ended: `reset` or orderly. */
export function upstreamLoss(reset: boolean): Failure {
  return reset ? Failures.upstreamReset : Failures.upstreamGone;
}
