/**
 * Asks the servers of one service over HTTP/1.1, on connections that are kept:
 *
 *   ask ─▶ an idle connection, or a new one, or the queue ─▶ one answer, or why there is none
 *
 * One question at a time on a connection. Where none comes to stand another server is tried. A kept
 * connection that turns out to be closed is no answer: the question goes on another, once.
 * Connections, questions that wait and the length of answers are bounded.
 */
import { type HttpAnswer, HttpAnswerReader, type ReadAnswer } from "../../adapter/http-answer.ts";
import type { Clock } from "../../core/clock.ts";
import { MethodId } from "../../http/method.ts";
import { connectWords } from "../../io/connect-words.ts";
import type { TcpSocket } from "../../io/socket.ts";
import { type ConnectAttempt, type ConnectCause, TcpConnector } from "../../io/tcp-connector.ts";
import { Timer, TimerWheel } from "../../io/timer-wheel.ts";
import type { TlsFacts } from "../../io/tls-facts.ts";
import { meshPeerUntilMs } from "../upstream/connection.ts";
import type { AskedServer, AskedService, NobodyAsked } from "./asked-service.ts";

export type OnAnswer = (answer: ReadAnswer) => void;

export interface HttpAskerOptions {
  readonly clock: Clock;
  readonly service: AskedService;
  /** Of a question, with all that it waits for. */
  readonly timeoutMs: number;
  /** Of an answer's content; 64 KiB unless told. */
  readonly bodyBytesMax?: number;
}

export interface HttpQuestion {
  /** Head and content. */
  readonly octets: Uint8Array;
  readonly method: MethodId;
  /** Once, and never before `ask` has returned. */
  readonly onAnswer: OnAnswer;
}

const CONNECTIONS_MAX = 64;
const QUEUE_MAX = 1_000;
const IDLE_MS = 30_000;
const BODY_BYTES_MAX = 64 * 1024;
/** Connections in a row that come to nothing. */
const TRIES_MAX = 3;

class Question extends Timer {
  readonly parts: HttpQuestion;
  readonly #asker: HttpAsker;
  connection: Connection | undefined = undefined;
  /** It was on a kept connection that was gone. */
  isRepeated = false;
  /** To whom connections came to nothing, and why the last one did. */
  tried: readonly AskedServer[] = [];
  why = "";
  isOver = false;

  constructor(asker: HttpAsker, parts: HttpQuestion) {
    super();
    this.#asker = asker;
    this.parts = parts;
  }

  override expire(): void {
    this.#asker.fail(this, "no answer in time", true);
  }
}

/** Idle ones are closed by their timer. */
class Connection extends Timer {
  readonly asker: HttpAsker;
  readonly server: AskedServer;
  readonly reader: HttpAnswerReader;
  socket: TcpSocket<Connection> | undefined = undefined;
  attempt: ConnectAttempt | undefined = undefined;
  question: Question | undefined = undefined;
  /** It answered before. */
  isReused = false;
  /** Something of the answer came. */
  hasHeard = false;
  sent = 0;
  sinceMs = 0;
  /** When the certificate of a proxy expires, as time of day; others have no end. */
  peerUntilMs = Number.POSITIVE_INFINITY;

  constructor(asker: HttpAsker, server: AskedServer, bodyBytesMax: number) {
    super();
    this.asker = asker;
    this.server = server;
    this.reader = new HttpAnswerReader(bodyBytesMax);
  }

  override expire(): void {
    this.asker.drop(this);
  }

  /** As much as the kernel takes. */
  send(): void {
    const { socket, question } = this;
    if (socket === undefined || question === undefined) return;
    const { octets } = question.parts;
    const left = octets.length - this.sent;
    if (left > 0) this.sent += Math.max(0, socket.write(octets, this.sent, left));
  }
}

const NO_BYTES = new Uint8Array(0);

const handlers = {
  open: (socket: TcpSocket<Connection>, tls?: TlsFacts) =>
    socket.data.asker.opened(socket.data, socket, tls),
  data: (socket: TcpSocket<Connection>, bytes: Uint8Array) =>
    socket.data.asker.received(socket.data, bytes, false),
  drain: (socket: TcpSocket<Connection>) => socket.data.send(),
  end: (socket: TcpSocket<Connection>) => socket.data.asker.received(socket.data, NO_BYTES, true),
  close: (socket: TcpSocket<Connection>) => socket.data.asker.lost(socket.data, "connection lost"),
  connectFailed: (connection: Connection, cause: ConnectCause, detail: string) =>
    connection.asker.connectFailed(connection, cause, detail),
} as const;

export class HttpAsker {
  readonly #options: HttpAskerOptions;
  readonly #timers: TimerWheel;
  readonly #connector: TcpConnector<Connection>;
  readonly #connections = new Set<Connection>();
  /** The one used last is taken first: others may grow old and go. */
  readonly #idle: Connection[] = [];
  #queue: Question[] = [];
  #isClosed = false;

  constructor(options: HttpAskerOptions) {
    this.#options = options;
    this.#timers = new TimerWheel(options.clock);
    this.#connector = new TcpConnector(handlers, this.#timers);
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Returns what ends it unanswered. */
  ask(parts: HttpQuestion): () => void {
    const question = new Question(this, parts);
    if (this.#isClosed || this.#queue.length >= QUEUE_MAX) {
      const why = this.#isClosed ? "it is asked no more" : "too many questions at a time";
      queueMicrotask(() => this.fail(question, why));
      return () => void this.#end(question);
    }
    this.#timers.arm(question, this.#options.timeoutMs);
    this.#place(question);
    return () => this.#cancel(question);
  }

  /** Nobody is told anything any more. */
  close(): void {
    this.#isClosed = true;
    for (const question of this.#queue) this.#end(question);
    this.#queue = [];
    for (const connection of [...this.#connections]) {
      if (connection.question !== undefined) this.#end(connection.question);
      this.drop(connection);
    }
  }

  opened(connection: Connection, socket: TcpSocket<Connection>, tls: TlsFacts | undefined): void {
    connection.attempt = undefined;
    connection.socket = socket;
    connection.peerUntilMs = meshPeerUntilMs(tls);
    connection.send();
  }

  /** Nothing was asked there: another may be. */
  connectFailed(connection: Connection, cause: ConnectCause, detail: string): void {
    const { question, server } = connection;
    const why = connectWords(cause, detail);
    this.drop(connection);
    this.#options.service.failed(server, cause === "timeout");
    if (question === undefined || question.isOver) return;
    question.tried = [...question.tried, server];
    question.why = why;
    if (question.tried.length < TRIES_MAX) this.#place(question);
    else this.fail(question, why);
  }

  received(connection: Connection, bytes: Uint8Array, ended: boolean): void {
    const { question } = connection;
    // Nothing was asked: whatever is said, it is no answer.
    if (question === undefined) return this.drop(connection);
    if (bytes.length > 0) connection.hasHeard = true;
    else if (!connection.hasHeard) return this.lost(connection, "connection lost");
    const answer = connection.reader.read(bytes, ended);
    if (answer === undefined) return;
    const { octets, method } = question.parts;
    const isWhole = connection.sent === octets.length;
    // A server that answers HEAD with content would have it taken for the next answer.
    const mayStay = isWhole && method !== MethodId.head;
    if (mayStay && "status" in answer && answer.keepsAlive) this.#free(connection);
    else this.drop(connection);
    this.#observe(connection, answer);
    this.#answer(question, answer);
  }

  /** The connection is gone. */
  lost(connection: Connection, why: string): void {
    const { question, isReused, hasHeard } = connection;
    this.drop(connection);
    if (question === undefined || question.isOver) return;
    if (!isReused || hasHeard || question.isRepeated) {
      this.#options.service.failed(connection.server, false);
      return this.fail(question, why);
    }
    question.isRepeated = true;
    this.#place(question);
  }

  /** It is not asked again, and its place is another's. */
  drop(connection: Connection): void {
    if (this.#close(connection) && !this.#isClosed) this.#next();
  }

  /** `late`: it has waited for an answer as long as it may. */
  fail(question: Question, why: string, late = false): void {
    const { connection } = question;
    if (connection !== undefined && connection.question === question) {
      if (late) this.#options.service.failed(connection.server, true);
      this.drop(connection);
    }
    this.#answer(question, { why });
  }

  /** What it says of the server's health. */
  #observe({ server, sinceMs }: Connection, answer: ReadAnswer): void {
    const { service, clock } = this.#options;
    if ("status" in answer) service.answered(server, answer.status, clock.nowMs() - sinceMs);
    else service.failed(server, false);
  }

  #answer(question: Question, answer: HttpAnswer | { readonly why: string }): void {
    if (this.#end(question)) question.parts.onAnswer(answer);
  }

  #cancel(question: Question): void {
    const { connection } = question;
    if (!this.#end(question)) return;
    if (connection?.question === question) this.drop(connection);
  }

  /** False: it was over. */
  #end(question: Question): boolean {
    if (question.isOver) return false;
    question.isOver = true;
    this.#timers.release(question);
    return true;
  }

  /** False: there is nobody to be asked. */
  #place(question: Question): boolean {
    const { service, timeoutMs, bodyBytesMax = BODY_BYTES_MAX } = this.#options;
    const server = service.pick(question.tried);
    if ("why" in server || question.tried.includes(server)) {
      this.#failSoon(question, server);
      return false;
    }
    // One that was gone a moment ago says that the others may be.
    const idle = question.isRepeated ? undefined : this.#takeIdle(server);
    if (idle !== undefined) {
      this.#use(idle, question);
      return true;
    }
    if (this.#connections.size >= CONNECTIONS_MAX && !this.#makeRoom()) {
      this.#queue.push(question);
      return true;
    }
    const connection = new Connection(this, server, bodyBytesMax);
    this.#connections.add(connection);
    this.#use(connection, question);
    const limitMs = service.connectMs(timeoutMs);
    connection.attempt = this.#connector.connect(server, connection, limitMs);
    return true;
  }

  /** Whoever asks has not heard of its question yet. */
  #failSoon(question: Question, server: AskedServer | NobodyAsked): void {
    const why = question.why || ("why" in server ? server.why : "cannot be reached");
    queueMicrotask(() => this.fail(question, why));
  }

  #takeIdle(server: AskedServer): Connection | undefined {
    const at = this.#idle.findLastIndex((connection) => connection.server === server);
    const [idle] = at === -1 ? [] : this.#idle.splice(at, 1);
    if (idle === undefined) return undefined;
    this.#timers.release(idle);
    idle.isReused = true;
    return idle;
  }

  /** False: all are busy. */
  #makeRoom(): boolean {
    const [oldest] = this.#idle;
    return oldest !== undefined && this.#close(oldest);
  }

  /** False: it was. */
  #close(connection: Connection): boolean {
    if (!this.#connections.delete(connection)) return false;
    const at = this.#idle.indexOf(connection);
    if (at !== -1) this.#idle.splice(at, 1);
    this.#timers.release(connection);
    this.#release(connection);
    connection.attempt?.cancel();
    connection.socket?.terminate();
    return true;
  }

  #use(connection: Connection, question: Question): void {
    const { service, clock } = this.#options;
    service.begin(connection.server);
    question.connection = connection;
    connection.question = question;
    connection.sent = 0;
    connection.sinceMs = clock.nowMs();
    connection.hasHeard = false;
    connection.reader.begin(question.parts.method);
    connection.send();
  }

  #release(connection: Connection): void {
    if (connection.question !== undefined) this.#options.service.end(connection.server);
    connection.question = undefined;
  }

  #free(connection: Connection): void {
    const { service, clock } = this.#options;
    const { server, peerUntilMs } = connection;
    if (!service.isCurrent(server) || peerUntilMs < clock.wallMs()) return this.drop(connection);
    this.#release(connection);
    this.#idle.push(connection);
    this.#timers.arm(connection, IDLE_MS);
    this.#next();
  }

  #next(): void {
    for (let question = this.#queue.shift(); question; question = this.#queue.shift())
      if (!question.isOver && this.#place(question)) return;
  }
}
