/**
 * One downstream HTTP/1.1 connection: finds the heads of its requests and gives each to an
 * exchange, one after another.
 *
 *   head ──▶ exchange ──keep──▶ head
 *     │         ├──close──▶ lingering ──▶ closed      lingering: what the client still sends is
 *     │         └──abort──▶ closed                    read, so that it gets our reply, no reset
 *     └─refused─▶ lingering
 *
 * Input that nobody can use yet (the next request, a body before its upstream is there) stays where
 * it is, and the socket is paused: that is the bound on pipelining.
 */
import { type Failure, Failures } from "../../core/failure.ts";
import { HeadBuffer } from "../../http1/head-buffer.ts";
import { failureReply } from "../../http1/local-reply.ts";
import { scanRequestHead } from "../../http1/request-head.ts";
import type { LaneUser } from "../../io/slow-lane.ts";
import type { SocketHandlers, TcpSocket } from "../../io/socket.ts";
import { freeSpent } from "../../io/spent-bytes.ts";
import { After, DownstreamSide } from "../exchange/downstream-side.ts";
import type { ForwardedExchange } from "../exchange/forwarded-exchange.ts";
import type { EdgePeer } from "../gateway/edge-peer.ts";
import type { AcceptedConnection, DownstreamOwner } from "./downstream-owner.ts";

export class DownstreamConnection extends DownstreamSide implements AcceptedConnection, LaneUser {
  readonly #owner: DownstreamOwner;
  #exchange: ForwardedExchange | undefined = undefined;
  #partial: HeadBuffer | undefined = undefined;
  #processing = false;
  /** It goes on with its input when its turn comes. */
  #waitsForTurn = false;
  #lingering = false;
  #lingered = 0;
  #requests = 0;
  /** The client has sent FIN. */
  #ended = false;

  constructor(owner: DownstreamOwner, socket: TcpSocket<unknown>, edge?: EdgePeer) {
    super(owner, edge);
    this.#owner = owner;
    this.socket = socket;
  }

  get exchanges(): number {
    return this.#exchange === undefined ? 0 : 1;
  }

  /** Nothing was asked yet, or everything was answered. */
  get idle(): boolean {
    return this.#exchange === undefined && this.#partial === undefined && !this.#lingering;
  }

  data(bytes: Uint8Array, from: number, to: number): void {
    this.env.tick();
    if (this.#lingering) return this.#linger(to - from);
    if (this.input === undefined) {
      this.input = bytes;
      this.inputAt = from;
      this.inputEnd = to;
    } else {
      const rest = this.input.subarray(this.inputAt, this.inputEnd);
      this.input = Buffer.concat([rest, bytes.subarray(from, to)]);
      this.inputAt = 0;
      this.inputEnd = this.input.length;
    }
    this.#process();
  }

  /** Whether what was received is still to be used, or part of the request under way. */
  holds(bytes: Uint8Array): boolean {
    return this.input !== undefined || this.#exchange?.bytes === bytes;
  }

  drained(): void {
    this.env.tick();
    if (this.flush() < 0) return;
    if (this.#exchange !== undefined) return this.#exchange.downstreamDrained();
    this.#restartIdle();
    if (this.isLow && this.input !== undefined) this.#process();
  }

  /** A client that takes its answer slowly is not idle. */
  #restartIdle(): void {
    const { limits, nowMs } = this.env;
    const { keepAliveIdleMs, lingerMs, stallTimeoutMs } = limits;
    const idleMs = this.env.draining ? this.env.graceEndsMs - nowMs : keepAliveIdleMs;
    const emptyMs = this.#lingering ? lingerMs : idleMs;
    this.env.timers.armAt(this, nowMs + (this.waiting > 0 ? stallTimeoutMs : emptyMs));
  }

  ended(): void {
    this.env.tick();
    this.#ended = true;
    if (this.#exchange !== undefined) this.#exchange.downstreamEnded();
    else this.end();
  }

  closed(_reset: boolean): void {
    this.env.tick();
    this.forget();
    this.input = undefined;
    this.#partial = undefined;
    const exchange = this.#exchange;
    exchange?.downstreamClosed();
    this.env.timers.release(this);
    this.#owner.connectionClosed(this);
  }

  override expire(): void {
    this.env.tick();
    if (this.#exchange !== undefined) this.#exchange.expire();
    else if (this.waiting > 0) this.abort();
    else if (this.#lingering) this.end();
    else if (this.#partial !== undefined) this.#refuse(Failures.headTimeout, "");
    else this.#becomeLingering();
  }

  override shed(): void {
    if (this.#exchange !== undefined) this.#exchange.shed();
    else this.abort();
  }

  override resumeInput(): void {
    if (this.input !== undefined) {
      if (!this.#processing) this.#process();
    } else this.resume();
  }

  override exchangeDone(after: After): void {
    const exchange = this.#exchange!;
    this.#exchange = undefined;
    this.#requests++;
    this.#owner.giveBack(exchange);
    if (this.socket === undefined) return;
    if (after === After.abort) return this.abort();
    if (after === After.close) return this.#becomeLingering();
    this.#restartIdle();
    if (this.#processing) return;
    if (this.input !== undefined) this.#process();
    else this.resume();
  }

  /** Just accepted: the first head has its limit from now on. */
  accepted(): void {
    this.env.timers.armAt(this, this.env.nowMs + this.env.limits.headTimeoutMs);
  }

  /** The proxy ends: no request is expected after the grace. */
  drain(): void {
    if (this.#exchange === undefined && !this.#lingering) this.#restartIdle();
  }

  retire(): void {
    this.retiring = true;
  }

  /** The time for that is over. What was begun is cut, so that no part looks whole. */
  stop(): void {
    if (this.#exchange !== undefined) this.#exchange.stop();
    else if (!this.#lingering) this.#becomeLingering();
  }

  override waitForTurn(): void {
    if (this.#waitsForTurn) return;
    this.#waitsForTurn = true;
    this.env.slowLane.add(this);
  }

  served(): void {
    this.#waitsForTurn = false;
    if (this.input === undefined || this.socket === undefined) return;
    this.env.tick();
    this.#process();
  }

  /** Uses as much of the input as can be used now. */
  #process(): void {
    this.#processing = true;
    while (this.input !== undefined && this.inputAt < this.inputEnd && !this.#waitsForTurn) {
      const exchange = this.#exchange;
      if (this.#lingering) {
        this.input = undefined;
        break;
      }
      if (exchange === undefined) {
        if (this.isFull) break;
        this.#takeHead(this.input);
      } else if (exchange.acceptsBody && !exchange.requestDone) {
        const { upstream } = exchange;
        if (upstream === undefined || upstream.isFull) break;
        exchange.input();
      } else if (exchange.reader !== undefined) exchange.reader.inputArrived();
      else break;
    }
    this.#processing = false;
    if (this.input === undefined || this.inputAt < this.inputEnd) {
      if (this.input !== undefined) this.pause();
      return;
    }
    this.input = undefined;
    if (this.paused && this.#exchange?.upstream?.isFull !== true) this.resume();
  }

  #takeHead(input: Uint8Array): void {
    const partial = this.#partial;
    if (partial !== undefined) return this.#takeHeadPart(partial, input);
    const head = this.env.requestHead;
    this.env.scannedFor = undefined;
    const end = scanRequestHead(input, this.inputAt, this.inputEnd, head);
    if (end > 0) {
      this.inputAt = end;
      this.#begin(input);
    } else if (end < 0) this.#refuseHead(input, this.inputAt, this.inputEnd);
    else {
      this.#partial = new HeadBuffer(this.env.limits.head);
      this.env.timers.armAt(this, this.#headDeadline());
      this.#takeHeadPart(this.#partial, input);
    }
  }

  #takeHeadPart(partial: HeadBuffer, input: Uint8Array): void {
    const next = partial.push(input, this.inputAt, this.inputEnd);
    if (next < 0) return this.#refuse(partial.failure!, partial.detail);
    this.inputAt = next;
    if (!partial.complete) return;
    this.#partial = undefined;
    const head = this.env.requestHead;
    this.env.scannedFor = undefined;
    const { bytes } = partial;
    if (scanRequestHead(bytes, 0, partial.length, head) > 0) this.#begin(bytes);
    else this.#refuseHead(bytes, 0, partial.length);
  }

  /** From accept for the first head, from its first byte for a later one. */
  #headDeadline(): number {
    if (this.#requests === 0 && this.deadlineMs !== 0) return this.deadlineMs;
    return this.env.nowMs + this.env.limits.headTimeoutMs;
  }

  #begin(bytes: Uint8Array): void {
    const exchange = this.#owner.takeExchange();
    this.#exchange = exchange;
    exchange.begin(this, bytes);
  }

  /** What was scanned last is bytes[from, to). */
  #refuseHead(bytes: Uint8Array, from: number, to: number): void {
    const { http2Preface, isForeign, failure, detail } = this.env.requestHead;
    const isFirst = this.#requests === 0;
    if (http2Preface && isFirst) this.#becomeHttp2(bytes, from, to);
    else if (isForeign && isFirst) this.#leaveForeign(detail);
    else this.#refuse(failure ?? Failures.badRequestLine, detail);
  }

  /** The preface is in bytes[from, to); what follows it may still be in the input. */
  #becomeHttp2(bytes: Uint8Array, from: number, to: number): void {
    const { input, inputAt, inputEnd } = this;
    const socket = this.socket!;
    this.input = undefined;
    this.forget();
    this.env.timers.release(this);
    const connection = this.#owner.beginHttp2(this, socket);
    connection.data(bytes, from, to);
    if (input !== undefined && input !== bytes) connection.data(input, inputAt, inputEnd);
  }

  /** Whoever speaks another protocol could make nothing of a reply. */
  #leaveForeign(detail: string): void {
    this.#owner.refused(this, Failures.badRequestLine, detail);
    this.#partial = undefined;
    this.#becomeLingering();
  }

  #refuse(failure: Failure, detail: string): void {
    const reply = failureReply(failure, true, detail);
    this.#owner.refused(this, failure, detail);
    this.send(reply, 0, reply.length);
    this.#partial = undefined;
    this.#becomeLingering();
  }

  /** FIN after what is sent; what still comes is read and dropped, within limits. */
  #becomeLingering(): void {
    this.#lingering = true;
    this.input = undefined;
    if (this.#ended) return this.end();
    this.#restartIdle();
    this.shutdown();
    this.resume();
  }

  #linger(bytes: number): void {
    this.#lingered += bytes;
    if (this.#lingered > this.env.limits.lingerBytesMax) this.abort();
  }
}

/** The handlers of one listener. */
export function downstreamHandlers(
  accept: SocketHandlers<AcceptedConnection>["open"],
): SocketHandlers<AcceptedConnection> {
  return {
    open: accept,
    data(socket, bytes) {
      socket.data.data(bytes, 0, bytes.length);
      // Whoever has the socket now: it may have turned out to speak HTTP/2.
      if (!socket.data.holds(bytes)) freeSpent(bytes);
    },
    drain(socket) {
      socket.data.drained();
    },
    end(socket) {
      socket.data.ended();
    },
    close(socket, error) {
      // A connection that was refused at the door has no data.
      const connection = socket.data as AcceptedConnection | undefined;
      connection?.closed(error !== undefined && error !== null);
    },
  };
}
