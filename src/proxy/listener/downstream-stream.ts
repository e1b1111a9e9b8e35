/**
 * One HTTP/2 stream of a downstream: a connection that brings a single request. Content that nobody
 * can use yet stays here, and is not acknowledged: the peer's window is the bound.
 *
 *   head ─▶ exchange ─▶ over ─▶ (what is written leaves) ─▶ released
 */
import { type Failure, Failures } from "../../core/failure.ts";
import { Framing, type MessageHead } from "../../http/message-head.ts";
import { ErrorCode } from "../../http2/error-code.ts";
import type { Stream } from "../../http2/stream.ts";
import type { SocketAddress } from "../../io/socket-address.ts";
import type { TlsFacts } from "../../io/tls-facts.ts";
import type { ConnectionNames } from "../../telemetry/connection-names.ts";
import { After, DownstreamSide } from "../exchange/downstream-side.ts";
import type { ForwardedExchange } from "../exchange/forwarded-exchange.ts";
import type { EdgePeer } from "../gateway/edge-peer.ts";
import type { ConnectionFacts } from "../policy/connection-facts.ts";
import type { Http2Connection } from "../transport/http2-connection.ts";
import { StreamSocket } from "../transport/stream-socket.ts";
import type { StreamUser } from "../transport/stream-user.ts";
import type { DownstreamOwner } from "./downstream-owner.ts";

const NO_BYTES = new Uint8Array(0);

/** The connection that a stream came on. */
export interface StreamsConnection extends Http2Connection {
  readonly names: ConnectionNames;
  readonly facts: ConnectionFacts;
  readonly captured: SocketAddress | undefined;
  readonly edge: EdgePeer | undefined;
  readonly source: SocketAddress | undefined;
  readonly tls: TlsFacts | undefined;
}

export class DownstreamStream extends DownstreamSide implements StreamUser {
  readonly #owner: DownstreamOwner;
  readonly #connection: StreamsConnection;
  readonly #stream: Stream<StreamUser>;
  readonly #socket: StreamSocket<undefined>;
  #exchange: ForwardedExchange | undefined = undefined;
  #processing = false;
  /** The peer may send as much again as lies before this in the input. */
  #settledAt = 0;
  /** Of the input: acknowledged when it was taken for the first time. */
  #settledBefore = 0;
  #responseEnded = false;
  /** The proxy ends: a full window is not why the stream is cut. */
  #stopping = false;

  constructor(owner: DownstreamOwner, connection: StreamsConnection, stream: Stream<StreamUser>) {
    super(owner, connection.edge, stream);
    this.#owner = owner;
    this.#connection = connection;
    this.#stream = stream;
    this.#socket = new StreamSocket(undefined, stream, connection);
    this.socket = this.#socket;
    this.captured = connection.captured;
    this.source = connection.source;
    this.tls = connection.tls;
  }

  override get names(): ConnectionNames {
    return this.#connection.names;
  }

  override get facts(): ConnectionFacts {
    return this.#connection.facts;
  }

  get busy(): boolean {
    return this.#exchange !== undefined;
  }

  /** `head` is in env.requestHead, and its octets stay as they are. */
  begin(head: MessageHead): void {
    this.env.tick();
    this.inputDone = this.#stream.remoteEnded;
    const exchange = this.#owner.takeExchange();
    this.#exchange = exchange;
    exchange.begin(this, head.bytes);
    this.#connection.touch();
  }

  headArrived(): void {}

  interimArrived(): void {}

  dataArrived(bytes: Uint8Array, from: number, to: number): void {
    if (this.#exchange === undefined) return this.#stream.consumed(to - from);
    this.env.tick();
    this.#settle();
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
    this.#settledAt = this.inputAt;
    this.#process();
    if (this.input === bytes) this.#keep(bytes.subarray(this.inputAt, this.inputEnd));
  }

  /** Copied: the window bounds this, and not what was received in one piece with it. */
  #keep(rest: Uint8Array): void {
    this.input = new Uint8Array(rest);
    this.inputAt = 0;
    this.inputEnd = rest.length;
    this.#settledAt = 0;
  }

  trailersArrived(lines: Uint8Array, from: number, to: number): void {
    if (to > from) this.inputTrailers = lines.subarray(from, to);
  }

  messageEnded(): void {
    this.inputDone = true;
    if (this.#exchange === undefined) return;
    this.env.tick();
    this.#process();
  }

  streamReset(_failure: Failure): void {
    this.env.tick();
    if (this.#exchange !== undefined) this.#exchange.downstreamClosed();
    else this.#release();
  }

  writable(): void {
    this.env.tick();
    if (this.flush() < 0) return;
    if (this.#exchange !== undefined) this.#exchange.downstreamDrained();
    else if (this.waiting === 0) this.#release();
  }

  override expire(): void {
    this.env.tick();
    if (this.#exchange !== undefined) this.#exchange.expire();
    else this.#breakOff();
  }

  override shed(): void {
    if (this.#exchange !== undefined) this.#exchange.shed();
    else this.#breakOff();
    this.#connection.streamShed();
  }

  /** The time to drain is over. */
  stop(): void {
    this.#stopping = true;
    this.#exchange?.stop();
  }

  override abort(): void {
    this.#stream.reset(ErrorCode.internalError);
    this.#connection.touch();
    if (this.#exchange !== undefined) this.#exchange.downstreamClosed();
    else this.#release();
  }

  override touch(): void {
    this.#connection.touch();
  }

  override endResponse(trailers: Uint8Array, from: number, to: number): void {
    if (this.#responseEnded) return;
    this.#responseEnded = true;
    if (to > from && this.waiting === 0) {
      this.#stream.trailers(trailers, from, to);
      return this.#connection.touch();
    }
    if (to > from) this.#socket.trailers = trailers.subarray(from, to);
    this.shutdown();
  }

  override shutdown(): void {
    this.#responseEnded = true;
    super.shutdown();
  }

  override restoreInput(bytes: Uint8Array, length: number): void {
    this.#settle();
    super.restoreInput(bytes, length);
    this.#settledAt = 0;
    this.#settledBefore = length;
  }

  override resumeInput(): void {
    if (!this.#processing) this.#process();
  }

  override exchangeDone(after: After): void {
    const exchange = this.#exchange!;
    this.#exchange = undefined;
    this.#owner.giveBack(exchange);
    if (this.socket === undefined) return;
    this.#drop();
    if (after === After.abort) return this.#breakOff();
    this.endResponse(NO_BYTES, 0, 0);
    if (this.waiting === 0) this.#release();
    else this.env.timers.armAt(this, this.env.nowMs + this.env.limits.stallTimeoutMs);
  }

  /** Uses what can be used now, and lets the peer send as much again. */
  #process(): void {
    const exchange = this.#exchange!;
    this.#processing = true;
    if (exchange.acceptsBody && !exchange.requestDone) {
      const { upstream } = exchange;
      if (upstream !== undefined && !upstream.isFull) exchange.input();
    } else exchange.reader?.inputArrived();
    this.#processing = false;
    this.#settle();
    const isTunnel = exchange.requestFraming === Framing.tunnel;
    if (isTunnel && this.inputDone && this.input === undefined && exchange === this.#exchange)
      exchange.downstreamEnded();
  }

  /** What was used of the input is acknowledged. */
  #settle(): void {
    if (this.input === undefined) return;
    const taken = this.inputAt - this.#settledAt;
    this.#settledAt = this.inputAt;
    if (this.inputAt === this.inputEnd) this.input = undefined;
    const again = Math.min(taken, this.#settledBefore);
    this.#settledBefore -= again;
    const used = taken - again;
    if (used === 0) return;
    this.#stream.consumed(used);
    this.#connection.touch();
  }

  /** What is here of a request that needs no more of it. */
  #drop(): void {
    if (this.input === undefined) return;
    this.inputAt = this.inputEnd;
    this.#settle();
  }

  #breakOff(): void {
    // It may be that the client takes nothing, and that this is why.
    const stalled = this.#stream.blockedSinceMs !== 0 && !this.#stopping;
    if (stalled) this.#connection.context.stats.count(Failures.downstreamStalled);
    this.#stream.reset(stalled ? ErrorCode.enhanceYourCalm : ErrorCode.internalError);
    this.#release();
  }

  #release(): void {
    if (this.socket === undefined) return;
    this.forget();
    this.env.timers.release(this);
    this.#stream.release();
    this.#connection.streamReleased();
    this.#connection.touch();
  }
}
