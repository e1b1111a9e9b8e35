/** One connection of a GrpcServer: its calls, from head to trailers. */
import { type Failure, Failures } from "../core/failure.ts";
import type { MessageHead } from "../http/message-head.ts";
import { ErrorCode } from "../http2/error-code.ts";
import { Session } from "../http2/session.ts";
import type { SessionSink } from "../http2/session-sink.ts";
import type { Stream } from "../http2/stream.ts";
import { CallStatus } from "./call-fault.ts";
import { type Answer, type GrpcServer, refusal } from "./grpc-server.ts";
import { encodeMessage, joined, octets, PREFIX_BYTES } from "./grpc-text.ts";
import { Http2Link, type LinkSocket } from "./http2-link.ts";
import { connectError, type LibraryAnswer, linesOf } from "./library-call.ts";
import type { CallMetadata, UnaryMethod } from "./unary-method.ts";

/** For SETTINGS, their acknowledgement, and the rest of a head. */
const SETTLE_MS = 10_000;
const CONTENT_TYPE = octets("content-type: application/grpc+proto\r\n");
const STATUS_OK = octets("grpc-status: 0\r\n");
/** What a call costs besides its message, until it is answered. */
const CALL_BYTES = 4096;
const noBytes = new Uint8Array(0);
const contentTypeName = octets("content-type");

/** What a caller sent so far, and what it is still to be sent. */
class IncomingCall {
  /** Undefined: it is the library's. */
  readonly method: UnaryMethod | undefined;
  readonly head: HeadCopy;
  readonly parts: Uint8Array[] = [];
  length = 0;
  /** Octets that it is counted with. */
  held = CALL_BYTES;
  isOver = false;
  /** What the windows did not take yet. */
  rest: Uint8Array | undefined;

  /** What follows the answer. */
  trailers = STATUS_OK;

  constructor(method: UnaryMethod | undefined, head: HeadCopy) {
    this.method = method;
    this.head = head;
  }
}

/** A head lies in octets that never change; what it says is read when somebody asks. */
class HeadCopy implements CallMetadata {
  readonly method: string;
  readonly target: string;
  readonly #lines: string;

  constructor(head: MessageHead) {
    this.method = head.text(head.start, head.methodEnd);
    this.target = head.text(head.targetStart, head.targetEnd);
    this.#lines = `\r\n${head.text(head.nameStart[0]!, head.end)}`;
  }

  get lines(): string {
    return this.#lines;
  }

  header(name: string): string | undefined {
    const at = this.#lines.indexOf(`\r\n${name}:`);
    if (at === -1) return undefined;
    const from = at + name.length + 3;
    return this.#lines.slice(from, this.#lines.indexOf("\r\n", from)).trim();
  }

  setHeader(): void {}
}

export class GrpcConnection implements SessionSink<IncomingCall> {
  readonly #server: GrpcServer;
  readonly #session: Session<IncomingCall>;
  readonly #link: Http2Link;
  readonly #cancelWatch: () => void;

  constructor(server: GrpcServer, socket: LinkSocket) {
    const { head, arena, limits, turn, options } = server;
    this.#server = server;
    this.#session = new Session({ role: "server", sink: this, head, arena, limits });
    this.#link = new Http2Link(this.#session, socket, turn, () => options.clock.nowMs());
    this.#link.tick();
    this.#session.start();
    this.#link.touch();
    this.#cancelWatch = this.#watch();
  }

  received(bytes: Uint8Array): void {
    this.#link.received(bytes);
  }

  /** Not answered yet. */
  get calls(): number {
    return this.#session.streamCount;
  }

  get isClogged(): boolean {
    return this.#link.isClogged;
  }

  drained(): void {
    this.#link.drained();
  }

  closed(): void {
    this.#cancelWatch();
    this.#link.closed(Failures.downstreamGone);
  }

  /** Takes no new calls; ends after those under way. */
  drain(): void {
    this.#link.tick();
    this.#session.drain();
    this.#session.finishDrain();
    this.#link.touch();
  }

  headArrived(stream: Stream<IncomingCall>, head: MessageHead): void {
    const { methods } = this.#server;
    const type = head.find(contentTypeName);
    const contentType = type === -1 ? "" : head.valueText(type);
    if (!/^application\/grpc(\+proto)?(;|$)/.test(contentType)) {
      return this.#begin(stream, new IncomingCall(undefined, new HeadCopy(head)));
    }
    const path = head.text(head.pathStart, head.pathEnd);
    const method = methods.get(path);
    if (method === undefined)
      return this.#reply(stream, refusal(CallStatus.unimplemented, `${path} is not served here`));
    this.#begin(stream, new IncomingCall(method, new HeadCopy(head)));
  }

  dataArrived(stream: Stream<IncomingCall>, bytes: Uint8Array, from: number, to: number): void {
    const length = to - from;
    stream.consumed(length);
    const call = stream.user;
    if (call === undefined || call.isOver) return;
    const server = this.#server;
    const { messageBytesMax, heldBytesMax } = server.options;
    call.length += length;
    call.held += length;
    server.heldBytes += length;
    if (call.length > messageBytesMax + PREFIX_BYTES)
      return this.#tooMuch(stream, call, `a message has at most ${messageBytesMax} bytes`);
    if (server.heldBytes > heldBytesMax) return this.#tooMuch(stream, call, "too much at a time");
    call.parts.push(bytes.subarray(from, to));
  }

  trailersArrived(): void {}

  streamEnded(stream: Stream<IncomingCall>): void {
    const call = stream.user;
    if (call === undefined || call.isOver) return;
    const { method, head } = call;
    const body = call.parts.length === 0 ? noBytes : joined(call.parts);
    const server = this.#server;
    if (method !== undefined)
      void server.answer(method, body, head).then((answer) => this.#reply(stream, answer));
    else
      void server.library
        .answer({ method: head.method, target: head.target, lines: head.lines, body })
        .then((answer) => this.#libraryReply(stream, call, answer));
  }

  streamReset(stream: Stream<IncomingCall>): void {
    if (stream.user !== undefined) this.#over(stream.user);
    if (!stream.released) stream.release();
  }

  streamWritable(stream: Stream<IncomingCall>): void {
    const rest = stream.user?.rest;
    if (rest === undefined) return;
    this.#write(stream, rest);
  }

  interimArrived(): void {}
  requestRefused(): void {}
  settingsArrived(): void {}
  goawayArrived(): void {}
  pongArrived(): void {}

  sessionFailed(): void {
    this.#link.end();
  }

  #begin(stream: Stream<IncomingCall>, call: IncomingCall): void {
    const server = this.#server;
    stream.user = call;
    server.heldBytes += call.held;
    if (server.heldBytes > server.options.heldBytesMax)
      this.#tooMuch(stream, call, "too much at a time");
  }

  #reply(stream: Stream<IncomingCall>, answer: Answer): void {
    const { blocks } = this.#server;
    this.#link.tick();
    if (stream.user !== undefined) this.#over(stream.user);
    if (!blocks.begin(stream)) return;
    blocks.status(200);
    blocks.add(CONTENT_TYPE);
    if (answer.ok) {
      if (answer.headers !== "") blocks.addOnce(octets(answer.headers));
      blocks.end(false);
      this.#write(stream, answer.bytes);
    } else {
      const message = encodeMessage(answer.message);
      blocks.addOnce(octets(`grpc-status: ${answer.code}\r\ngrpc-message: ${message}\r\n`));
      blocks.end(true);
      stream.release();
    }
    this.#link.touch();
  }

  #tooMuch(stream: Stream<IncomingCall>, call: IncomingCall, message: string): void {
    const answer = refusal(CallStatus.resourceExhausted, message);
    const type = call.head.header("content-type") ?? "";
    if (call.method === undefined && !type.startsWith("application/grpc-web"))
      this.#libraryReply(stream, call, connectError("resource_exhausted", message));
    else this.#reply(stream, answer);
  }

  #libraryReply(stream: Stream<IncomingCall>, call: IncomingCall, answer: LibraryAnswer): void {
    const { blocks } = this.#server;
    this.#link.tick();
    this.#over(call);
    if (!blocks.begin(stream)) return;
    blocks.status(answer.status);
    blocks.addOnce(octets(linesOf(answer.headers)));
    blocks.end(false);
    call.trailers = octets(linesOf(answer.trailers));
    this.#write(stream, answer.body);
  }

  #write(stream: Stream<IncomingCall>, bytes: Uint8Array): void {
    const taken = stream.write(bytes, 0, bytes.length);
    const call = stream.user;
    if (taken < 0) return;
    if (taken < bytes.length) {
      if (call !== undefined) call.rest = bytes.subarray(taken);
    } else {
      if (call !== undefined) call.rest = undefined;
      const trailers = call?.trailers ?? STATUS_OK;
      if (trailers.length === 0) stream.end();
      else stream.trailers(trailers, 0, trailers.length);
      stream.release();
    }
    this.#link.touch();
  }

  /** What it sent is not held any more. */
  #over(call: IncomingCall): void {
    if (call.isOver) return;
    call.isOver = true;
    call.parts.length = 0;
    this.#server.heldBytes -= call.held;
  }

  #watch(): () => void {
    const { clock } = this.#server.options;
    const look = (): void => {
      const session = this.#session;
      const { halfSinceMs, isReady, isAcknowledged } = session;
      const isLate = halfSinceMs !== 0 && clock.nowMs() - halfSinceMs > SETTLE_MS;
      if (!isReady || !isAcknowledged || isLate) {
        this.#link.tick();
        session.fail(lateness(isReady), ErrorCode.settingsTimeout);
        return this.#link.end();
      }
      cancel = clock.after(SETTLE_MS, look);
    };
    let cancel = clock.after(SETTLE_MS, look);
    return () => cancel();
  }
}

function lateness(isReady: boolean): Failure {
  return isReady ? Failures.headTimeout : Failures.settingsTimeout;
}
