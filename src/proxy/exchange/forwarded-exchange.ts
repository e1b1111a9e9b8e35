/** The exchange as its two connections see it: each event goes to the step that it concerns. */
import { type Failure, Failures } from "../../core/failure.ts";
import { Framing, type MessageHead } from "../../http/message-head.ts";
import { MethodId } from "../../http/method.ts";
import type { ConnectCause } from "../../io/tcp-connector.ts";
import { CallKind, callKindOf } from "../grpc/media-type.ts";
import { connectFailure, goesOnInHttp1, runTry, tryAgainToConnect, tryFailed } from "./attempt.ts";
import { dispatch, dispatchDelayed } from "./dispatch.ts";
import { After, type DownstreamSide } from "./downstream-side.ts";
import { Exchange, Phase, Wake } from "./exchange.ts";
import { abortExchange, downstreamGone, finish } from "./finish.ts";
import { hedges } from "./hedge.ts";
import { beginRecord } from "./record.ts";
import { replyFailure } from "./reply.ts";
import { takeBody } from "./request-body.ts";
import { hideUnproven, sendRequest } from "./request-head.ts";
import { endResponse, takeResponse } from "./response.ts";
import { writeStatusBlock } from "./response-block.ts";
import {
  endStreamResponse,
  takeStreamContent,
  takeStreamHead,
  takeStreamInterim,
} from "./response-stream.ts";
import { armTimer } from "./timing.ts";
import { beginTunnel, tunnelDownstreamEnded, tunnelUpstreamEnded } from "./tunnel.ts";

const CONNECTED = new TextEncoder().encode("HTTP/1.1 200 Connection established\r\n\r\n");

export class ForwardedExchange extends Exchange {
  /**
   * For the head that was just scanned into env.requestHead; the input of `downstream` begins after
   * it. The exchange may be over on return.
   */
  begin(downstream: DownstreamSide, bytes: Uint8Array): void {
    const { env } = this;
    const head = env.requestHead;
    this.downstream = downstream;
    this.bytes = bytes;
    this.headStart = head.start;
    this.headEnd = head.end;
    this.method = head.method;
    this.minorVersion = head.minorVersion;
    this.websocket = head.upgradesToWebsocket;
    this.connects = head.method === MethodId.connect;
    // What follows a CONNECT was meant for its tunnel, and is no request if there is none.
    this.keepsAlive = head.keepsAlive && !this.connects;
    this.acceptsTrailers = head.acceptsTrailers;
    this.requestFraming = head.framing;
    this.requestRemaining = head.contentLength;
    this.requestDone =
      head.framing === Framing.none ||
      (head.framing === Framing.length && head.contentLength === 0);
    if (head.framing === Framing.chunked)
      this.requestChunks.reset(false, !head.connectionNamesFields);
    this.startMs = env.nowMs;
    this.progressMs = env.nowMs;
    env.scannedFor = this;
    this.generation = env.generations.acquire();
    const path = env.paths.normalize(head, this.generation.snapshot.settings.paths);
    this.headStart = head.start;
    hideUnproven(this, head);
    const kind = callKindOf(head);
    if (kind !== CallKind.none) this.beginCall(kind, head);
    if (env.accessLog !== undefined) beginRecord(this);
    dispatch(this, path);
  }

  /** More of the request is in the downstream's input. */
  input(): void {
    const { env, upstream } = this;
    if (upstream === undefined) return;
    this.progressMs = env.nowMs;
    env.output.begin(0);
    const failure = takeBody(this);
    if (failure !== undefined) return this.#refuse(failure);
    env.output.flush(upstream);
    if (upstream.isFull) this.downstream?.pause();
  }

  /** A malformed body: the upstream must not take what it has for the whole. */
  #refuse(failure: Failure): void {
    this.env.output.begin(0);
    if (this.responded) abortExchange(this, failure);
    else replyFailure(this, failure);
  }

  /** The client takes bytes again. */
  downstreamDrained(): void {
    this.progressMs = this.env.nowMs;
    if (this.downstream!.isLow) this.upstream?.resume();
  }

  /** FIN from the client: in a tunnel half of the end, else a client that has gone. */
  downstreamEnded(): void {
    if (this.phase === Phase.tunnel || (this.phase === Phase.done && !this.requestDone))
      tunnelDownstreamEnded(this);
    else downstreamGone(this);
  }

  downstreamClosed(): void {
    downstreamGone(this);
  }

  /** The process holds too much for clients that do not read, and for this one longest. */
  shed(): void {
    this.env.tick();
    abortExchange(this, Failures.overloaded);
  }

  /** The proxy ends, and waits no longer. */
  stop(): void {
    this.env.tick();
    replyFailure(this, Failures.stopping);
  }

  override upstreamOpened(): void {
    this.env.tick();
    this.#connected();
    if (this.connects) return this.#tunnelOpened();
    const failure = sendRequest(this);
    if (failure !== undefined) return tryFailed(this, failure);
    armTimer(this);
    if (this.acceptsBody) this.downstream!.resumeInput();
  }

  override upstreamFailed(cause: ConnectCause, detail: string): void {
    this.env.tick();
    this.upstream = undefined;
    if (cause === "protocol" && goesOnInHttp1(this)) return;
    this.detail = cause;
    this.transportDetail = detail;
    const { series } = this.cluster!.stats;
    if (cause === "timeout") series.connectTimeouts.increment();
    else series.connectFailures.increment();
    tryFailed(this, connectFailure(this, cause));
  }

  override upstreamData(bytes: Uint8Array, from: number, to: number): void {
    this.env.tick();
    takeResponse(this, bytes, from, to);
  }

  override upstreamDrained(): void {
    this.env.tick();
    this.progressMs = this.env.nowMs;
    if (this.upstream!.isLow) this.downstream!.resumeInput();
  }

  override upstreamEnded(): void {
    this.env.tick();
    if (this.phase === Phase.tunnel) tunnelUpstreamEnded(this);
    else endResponse(this);
  }

  override upstreamClosed(reset: boolean): void {
    this.env.tick();
    this.upstream = undefined;
    if (this.responseFraming === Framing.tunnel && this.responded)
      finish(this, reset ? After.abort : After.close);
    else if (this.phase === Phase.head)
      tryFailed(this, reset ? Failures.upstreamReset : Failures.upstreamGone);
    else if (!reset) endResponse(this);
    else abortExchange(this, Failures.upstreamReset);
  }

  override upstreamInterim(head: MessageHead): void {
    this.env.tick();
    takeStreamInterim(this, head);
  }

  override upstreamHead(_head: MessageHead, ended: boolean): void {
    this.env.tick();
    takeStreamHead(this, ended);
  }

  override upstreamContent(bytes: Uint8Array, from: number, to: number): void {
    this.env.tick();
    takeStreamContent(this, bytes, from, to);
  }

  override upstreamComplete(trailers: Uint8Array, from: number, to: number): void {
    this.env.tick();
    endStreamResponse(this, trailers, from, to);
  }

  override upstreamReset(failure: Failure): void {
    this.env.tick();
    this.upstream = undefined;
    if (this.responseFraming === Framing.tunnel && this.responded) finish(this, After.abort);
    else if (this.phase === Phase.head) tryFailed(this, failure);
    else abortExchange(this, failure);
  }

  override upstreamVacancy(): void {
    this.env.tick();
    tryAgainToConnect(this);
    if (this.downstream !== undefined) armTimer(this);
  }

  /** The downstream's timer. */
  expire(): void {
    const { env, wake } = this;
    const now = env.nowMs;
    if (this.wakeMs !== 0 && now >= this.wakeMs) {
      this.wakeMs = 0;
      this.wake = Wake.nothing;
      armTimer(this);
      if (wake === Wake.afterDelay) dispatchDelayed(this);
      else if (wake === Wake.retry) runTry(this);
      else if (wake === Wake.unanswered) this.wait!.expire();
      if (this.downstream !== undefined && this.acceptsBody) this.downstream.resumeInput();
      return;
    }
    const failure = this.#lateness(now);
    if (failure === undefined) return armTimer(this);
    if (failure === Failures.upstreamTimeout && now < (this.deadlineMs || Infinity)) {
      this.cluster?.stats.series.perTryTimeouts.increment();
      return hedges(this) ? undefined : tryFailed(this, failure);
    }
    if (failure === Failures.upstreamTimeout) {
      this.cluster?.stats.series.requestTimeouts.increment();
      // A caller could else have endpoints ejected by giving them no time.
      const hadTime = this.call?.endsByCaller !== true;
      if (this.trying && hadTime) this.cluster?.failedLocally(this.endpoint!, true);
    }
    replyFailure(this, failure);
  }

  #lateness(now: number): Failure | undefined {
    if (this.deadlineMs !== 0 && now >= this.deadlineMs) return Failures.upstreamTimeout;
    if (this.tryDeadlineMs !== 0 && now >= this.tryDeadlineMs) return Failures.upstreamTimeout;
    const { limits } = this.env;
    const idleMs = this.phase === Phase.tunnel ? limits.tunnelIdleMs : limits.stallTimeoutMs;
    if (now - this.progressMs < idleMs) return undefined;
    if (this.responded && this.downstream!.isFull) return Failures.downstreamStalled;
    return this.requestDone || this.phase !== Phase.head
      ? Failures.streamIdle
      : Failures.bodyTimeout;
  }

  #connected(): void {
    if (!this.pending) return;
    this.pending = false;
    this.cluster!.limits.releasePending(this.endpoint);
  }

  #tunnelOpened(): void {
    const downstream = this.downstream!;
    this.status = 200;
    this.responded = true;
    if (downstream.stream === undefined) downstream.send(CONNECTED, 0, CONNECTED.length);
    else writeStatusBlock(this, downstream.stream, 200);
    beginTunnel(this);
  }
}
