/** The connection of a GrpcClient: a stream for each call. */
import type { Clock } from "../core/clock.ts";
import { type Failure, Failures } from "../core/failure.ts";
import { MessageHead } from "../http/message-head.ts";
import { MethodId } from "../http/method.ts";
import type { HeadArena } from "../http2/head-arena.ts";
import type { HeadBlockWriter } from "../http2/head-block-writer.ts";
import { Session } from "../http2/session.ts";
import { defaultSessionLimits } from "../http2/session-limits.ts";
import type { SessionSink } from "../http2/session-sink.ts";
import type { Stream } from "../http2/stream.ts";
import { connectWords } from "../io/connect-words.ts";
import type { TcpSocket } from "../io/socket.ts";
import type { ConnectCause, ConnectHandlers } from "../io/tcp-connector.ts";
import type { TlsFacts } from "../io/tls-facts.ts";
import type { Turn } from "../io/turn.ts";
import { CallStatus } from "./call-fault.ts";
import { decodeMessage, joined, octets } from "./grpc-text.ts";
import { Http2Link } from "./http2-link.ts";
import type { OutgoingCall } from "./outgoing-call.ts";

/** What a connection needs of its client. */
export interface ConnectionOwner {
  readonly clock: Clock;
  readonly callsMax: number;
  readonly arena: HeadArena;
  readonly blocks: HeadBlockWriter;
  readonly turn: Turn;
  readonly authority: Uint8Array;
  opened(connection: GrpcClientConnection): void;
  /** It is of no use any more. */
  lost(connection: GrpcClientConnection, reason: string): void;
  /** It takes no new calls. */
  leaving(connection: GrpcClientConnection): void;
}

const REQUEST_LINES = octets("content-type: application/grpc\r\nuser-agent: mesh\r\n");
const requestHead = postHead();

/** An answer as far as it has come. */
class Exchange {
  readonly call: OutgoingCall;
  readonly parts: Uint8Array[] = [];
  length = 0;
  status = 0;
  /** Of the head, and of trailers: each begins a line. */
  lines = "\r\n";
  rest: Uint8Array | undefined;

  constructor(call: OutgoingCall) {
    this.call = call;
  }

  readonly header = (name: string): string | undefined => {
    const at = this.lines.indexOf(`\r\n${name}:`);
    if (at === -1) return undefined;
    const from = at + name.length + 3;
    return this.lines.slice(from, this.lines.indexOf("\r\n", from)).trim();
  };
}

export class GrpcClientConnection implements SessionSink<Exchange> {
  heardAtMs = 0;
  /** When the server's certificate expires, as time of day; one that had already is believed. */
  peerUntilMs = Number.POSITIVE_INFINITY;
  /** Called once, when the server has said that it speaks HTTP/2, or never will. */
  onReady: () => void = () => {};
  readonly #owner: ConnectionOwner;
  readonly #session: Session<Exchange>;
  #link: Http2Link | undefined;

  constructor(owner: ConnectionOwner) {
    this.#owner = owner;
    this.#session = new Session<Exchange>({
      role: "client",
      sink: this,
      head: new MessageHead(),
      arena: owner.arena,
      limits: { ...defaultSessionLimits, streamsMax: owner.callsMax },
    });
  }

  /** To somebody, who may not have said anything yet. */
  get isConnected(): boolean {
    return this.#link !== undefined;
  }

  connected(socket: TcpSocket<GrpcClientConnection>, tls: TlsFacts | undefined): void {
    const untilMs = tls?.peer?.notAfterMs ?? 0;
    if (untilMs > this.#owner.clock.wallMs()) this.peerUntilMs = untilMs;
    const { turn, clock } = this.#owner;
    const link = {
      write: (bytes: Uint8Array, from: number, length: number) => socket.write(bytes, from, length),
      end: () => socket.end(),
      destroy: () => socket.terminate(),
    };
    this.#link = new Http2Link(this.#session, link, turn, () => clock.nowMs());
    this.#link.tick();
    this.#session.start();
    this.#link.touch();
  }

  connectFailed(cause: ConnectCause): void {
    this.onReady();
    this.#owner.lost(this, connectWords(cause, ""));
  }

  received(bytes: Uint8Array): void {
    this.heardAtMs = this.#owner.clock.nowMs();
    this.#link?.received(bytes);
  }

  drained(): void {
    this.#link?.drained();
  }

  closed(): void {
    this.onReady();
    this.#owner.lost(this, "connection lost");
    this.#link?.closed();
  }

  /** The server ended its half: no answer comes any more. */
  ended(): void {
    this.#link?.destroy(Failures.upstreamGone);
    this.closed();
  }

  send(call: OutgoingCall): void {
    if (call.sentAtMs !== 0 || call.isOver) return;
    const { blocks, authority, clock } = this.#owner;
    const stream = this.#session.open(new Exchange(call));
    if (stream === undefined) return loseSoon(call, "the server takes no more calls");
    const exchange = new Exchange(call);
    stream.user = exchange;
    call.sentAtMs = clock.nowMs();
    call.carrier = this;
    call.release = () => {
      if (!stream.released) stream.release();
      this.#link?.touch();
    };
    this.#link?.tick();
    if (!blocks.begin(stream)) return loseSoon(call, "connection lost");
    blocks.request(requestHead, call.path, authority);
    blocks.add(REQUEST_LINES);
    if (call.headers !== "") blocks.addOnce(octets(call.headers));
    blocks.end(false);
    this.#write(stream, call.framed);
  }

  /** In order. */
  close(): void {
    this.onReady();
    this.#link?.tick();
    this.#session.drain();
    this.#link?.end();
  }

  /** At once; nobody is told. */
  abandon(): void {
    this.onReady();
    this.#link?.destroy();
  }

  headArrived(stream: Stream<Exchange>, head: MessageHead): void {
    const exchange = stream.user;
    if (exchange === undefined) return;
    exchange.status = head.status;
    exchange.lines += head.text(head.nameStart[0]!, head.end);
  }

  dataArrived(stream: Stream<Exchange>, bytes: Uint8Array, from: number, to: number): void {
    stream.consumed(to - from);
    const exchange = stream.user;
    if (exchange === undefined) return;
    exchange.length += to - from;
    if (exchange.length > exchange.call.answerBytesMax)
      return exchange.call.refused(CallStatus.resourceExhausted, "the answer is too long");
    exchange.parts.push(bytes.subarray(from, to));
  }

  trailersArrived(stream: Stream<Exchange>, lines: Uint8Array, from: number, to: number): void {
    if (stream.user !== undefined)
      stream.user.lines += Buffer.from(lines.subarray(from, to)).toString("latin1");
  }

  streamEnded(stream: Stream<Exchange>): void {
    const exchange = stream.user;
    if (exchange === undefined) return;
    const { call, status, header } = exchange;
    const grpcStatus = header("grpc-status");
    if (status !== 200) call.lose(`the server answers with HTTP status ${status}`);
    else if (grpcStatus === undefined) call.lose("the server does not speak gRPC");
    else if (grpcStatus === "0") call.answered(joinedOrNone(exchange.parts), header);
    else refuse(call, Number(grpcStatus), decodeMessage(header("grpc-message") ?? ""));
  }

  streamReset(stream: Stream<Exchange>, failure: Failure): void {
    // The stream knows nobody any more once it is released.
    const call = stream.user?.call;
    if (!stream.released) stream.release();
    if (call === undefined) return;
    if (failure === Failures.upstreamUnprocessed) call.sentAtMs = 0;
    call.lose(failure.reason);
  }

  streamWritable(stream: Stream<Exchange>): void {
    const rest = stream.user?.rest;
    if (rest !== undefined) this.#write(stream, rest);
  }

  settingsArrived(): void {
    this.onReady();
    this.#owner.opened(this);
  }

  goawayArrived(): void {
    this.#owner.leaving(this);
  }

  sessionFailed(_: Failure, detail: string): void {
    this.#owner.lost(this, `the server does not speak HTTP/2: ${detail}`);
  }

  interimArrived(): void {}
  requestRefused(): void {}
  pongArrived(): void {}

  #write(stream: Stream<Exchange>, bytes: Uint8Array): void {
    const taken = stream.write(bytes, 0, bytes.length);
    const exchange = stream.user;
    if (exchange === undefined || taken < 0) return;
    exchange.rest = taken < bytes.length ? bytes.subarray(taken) : undefined;
    if (exchange.rest === undefined) stream.end();
    this.#link?.touch();
  }
}

export const connectHandlers: ConnectHandlers<GrpcClientConnection> = {
  open: (socket, tls) => socket.data.connected(socket, tls),
  data: (socket, bytes) => socket.data.received(bytes),
  drain: (socket) => socket.data.drained(),
  end: (socket) => socket.data.ended(),
  close: (socket) => socket.data.closed(),
  connectFailed: (connection, cause) => connection.connectFailed(cause),
};

/** Not in the call that made it. */
function loseSoon(call: OutgoingCall, reason: string): void {
  queueMicrotask(() => call.lose(reason));
}

/** UNAVAILABLE says that nobody has judged. */
function refuse(call: OutgoingCall, code: number, message: string): void {
  if (code === CallStatus.unavailable) call.lose(message);
  else call.refused(code, message);
}

function joinedOrNone(parts: readonly Uint8Array[]): Uint8Array {
  return parts.length === 0 ? new Uint8Array(0) : joined(parts);
}

function postHead(): MessageHead {
  const head = new MessageHead();
  head.method = MethodId.post;
  head.acceptsTrailers = true;
  return head;
}
