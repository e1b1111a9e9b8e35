/**
 * Asks over a connection of its own for each question: HTTP/1.1 or plain TCP. Whatever comes back
 * is bounded, and the connection is closed as soon as the answer is known.
 */
import { MessageHead } from "../../../http/message-head.ts";
import { methodIdOf } from "../../../http/method.ts";
import { scanResponseHead } from "../../../http1/response-head.ts";
import type { TcpSocket } from "../../../io/socket.ts";
import { type ConnectAttempt, TcpConnector } from "../../../io/tcp-connector.ts";
import type { TimerWheel } from "../../../io/timer-wheel.ts";
import type { Probe, ProbeOutcome } from "./health-check.ts";
import { CONNECT_MS_MAX, type Prober, type ProbeTarget } from "./prober.ts";

/** Above it an answer is a bad one. */
const ANSWER_BYTES_MAX = 65_536;

type SocketProbe = Exclude<Probe, { by: "grpc" }>;

export class SocketProber implements Prober {
  readonly #connector: TcpConnector<Question>;

  constructor(timers: TimerWheel) {
    this.#connector = new TcpConnector(handlers, timers);
  }

  start(
    target: ProbeTarget,
    probe: SocketProbe,
    onOutcome: (outcome: ProbeOutcome) => void,
  ): () => void {
    const answer = probe.by === "http" ? new HttpAnswer(probe) : new TcpAnswer(probe);
    const question = new Question(requestOf(probe, target), answer, onOutcome);
    const at = { hostname: target.address, port: target.port, tls: target.tls };
    question.attempt = this.#connector.connect(at, question, CONNECT_MS_MAX);
    return () => question.giveUp();
  }
}

/** What an answer is so far; undefined: more is needed. */
interface Answer {
  /** `ended`: nothing more will come. */
  read(bytes: Uint8Array, ended: boolean): ProbeOutcome | undefined;
}

class Question {
  attempt: ConnectAttempt | undefined;
  socket: TcpSocket<Question> | undefined;
  readonly #request: Uint8Array;
  readonly #answer: Answer;
  readonly #onOutcome: (outcome: ProbeOutcome) => void;
  #sent = 0;
  #received: Uint8Array = new Uint8Array(0);
  #over = false;

  constructor(request: Uint8Array, answer: Answer, onOutcome: (outcome: ProbeOutcome) => void) {
    this.#request = request;
    this.#answer = answer;
    this.#onOutcome = onOutcome;
  }

  opened(socket: TcpSocket<Question>): void {
    this.socket = socket;
    this.send();
    this.#judge(false);
  }

  send(): void {
    if (this.#over || this.socket === undefined) return;
    const left = this.#request.length - this.#sent;
    if (left > 0) this.#sent += Math.max(0, this.socket.write(this.#request, this.#sent, left));
  }

  received(bytes: Uint8Array): void {
    if (this.#over) return;
    if (this.#received.length + bytes.length > ANSWER_BYTES_MAX) return this.end("failed");
    this.#received = Buffer.concat([this.#received, bytes]);
    this.#judge(false);
  }

  ended(): void {
    if (!this.#over) this.#judge(true);
  }

  end(outcome: ProbeOutcome): void {
    if (this.#over) return;
    this.giveUp();
    this.#onOutcome(outcome);
  }

  giveUp(): void {
    this.#over = true;
    this.attempt?.cancel();
    this.socket?.terminate();
  }

  #judge(ended: boolean): void {
    const outcome = this.#answer.read(this.#received, ended);
    if (outcome !== undefined) this.end(outcome);
  }
}

const handlers = {
  open: (socket: TcpSocket<Question>) => socket.data.opened(socket),
  data: (socket: TcpSocket<Question>, bytes: Uint8Array) => socket.data.received(bytes),
  drain: (socket: TcpSocket<Question>) => socket.data.send(),
  end: (socket: TcpSocket<Question>) => socket.data.ended(),
  close: (socket: TcpSocket<Question>) => socket.data.end("unreachable"),
  connectFailed: (question: Question) => question.end("unreachable"),
} as const;

class HttpAnswer implements Answer {
  readonly #probe: Extract<Probe, { by: "http" }>;
  readonly #head = new MessageHead();

  constructor(probe: Extract<Probe, { by: "http" }>) {
    this.#probe = probe;
    const method = new TextEncoder().encode(probe.method);
    this.#head.requestMethod = methodIdOf(method, 0, method.length);
  }

  read(bytes: Uint8Array, ended: boolean): ProbeOutcome | undefined {
    const head = this.#head;
    for (let from = 0; from < bytes.length; ) {
      const end = scanResponseHead(bytes, from, bytes.length, head);
      if (end < 0) return "failed";
      if (end === 0) break;
      if (head.status >= 200 || head.status === 101) return this.#judge(head.status);
      from = end;
    }
    return ended ? "unreachable" : undefined;
  }

  #judge(status: number): ProbeOutcome {
    const { expected } = this.#probe;
    return expected.some(([from, to]) => status >= from && status <= to) ? "passed" : "failed";
  }
}

class TcpAnswer implements Answer {
  readonly #receive: readonly Uint8Array[];

  constructor({ receive }: Extract<Probe, { by: "tcp" }>) {
    this.#receive = receive;
  }

  read(bytes: Uint8Array, ended: boolean): ProbeOutcome | undefined {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    let from = 0;
    for (const wanted of this.#receive) {
      const at = text.indexOf(wanted, from);
      if (at === -1) return ended ? "failed" : undefined;
      from = at + wanted.length;
    }
    return "passed";
  }
}

function requestOf(probe: SocketProbe, { address, port, tls }: ProbeTarget): Uint8Array {
  if (probe.by === "tcp") return probe.send;
  const named = probe.host || (tls?.serverName ?? "");
  const host = named || (address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`);
  const lines = [
    `${probe.method} ${probe.path} HTTP/1.1`,
    `host: ${host}`,
    "user-agent: mesh-health-check",
    ...probe.headers.map(([name, value]) => `${name}: ${value}`),
    ...(/^(POST|PUT|PATCH)$/.test(probe.method) ? ["content-length: 0"] : []),
    "connection: close",
    "",
    "",
  ];
  return Buffer.from(lines.join("\r\n"), "latin1");
}
