/**
 * Asks by grpc.health.v1.Health/Check (github.com/grpc/grpc, doc/health-checking.md): a service is
 * well when its status is SERVING. A connection for each question, made and verified by our own
 * connector; the runtime's HTTP/2 speaks over it.
 */
import { connect, constants } from "node:http2";
import { Duplex } from "node:stream";
import type { TcpSocket } from "../../../io/socket.ts";
import { type ConnectAttempt, TcpConnector } from "../../../io/tcp-connector.ts";
import type { TimerWheel } from "../../../io/timer-wheel.ts";
import type { Probe, ProbeOutcome } from "./health-check.ts";
import { CONNECT_MS_MAX, type Prober, type ProbeTarget } from "./prober.ts";

type GrpcProbe = Extract<Probe, { by: "grpc" }>;

const ANSWER_BYTES_MAX = 4_096;
const SERVING = 1;

export class GrpcProber implements Prober {
  readonly #connector: TcpConnector<GrpcQuestion>;

  constructor(timers: TimerWheel) {
    this.#connector = new TcpConnector(handlers, timers);
  }

  start(
    { address, port, tls }: ProbeTarget,
    probe: GrpcProbe,
    onOutcome: (outcome: ProbeOutcome) => void,
  ): () => void {
    const named = tls?.serverName ?? "";
    const own = address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
    const authority = named === "" ? own : named;
    const scheme = tls === undefined ? "http" : "https";
    const question = new GrpcQuestion(probe, { authority, scheme }, onOutcome);
    const at = { hostname: address, port, tls };
    question.attempt = this.#connector.connect(at, question, CONNECT_MS_MAX);
    return () => question.end(undefined);
  }
}

class GrpcQuestion {
  attempt: ConnectAttempt | undefined;
  readonly #probe: GrpcProbe;
  readonly #own: { readonly authority: string; readonly scheme: string };
  readonly #onOutcome: (outcome: ProbeOutcome) => void;
  #session: ReturnType<typeof connect> | undefined;
  #socket: TcpSocket<GrpcQuestion> | undefined;
  #bytes: SocketBytes | undefined;
  #over = false;

  constructor(
    probe: GrpcProbe,
    own: { readonly authority: string; readonly scheme: string },
    onOutcome: (outcome: ProbeOutcome) => void,
  ) {
    this.#probe = probe;
    this.#own = own;
    this.#onOutcome = onOutcome;
  }

  opened(socket: TcpSocket<GrpcQuestion>): void {
    if (this.#over) return socket.terminate();
    const bytes = new SocketBytes(socket);
    this.#socket = socket;
    this.#bytes = bytes;
    const { authority, scheme } = this.#own;
    const session = connect(`${scheme}://${authority}`, { createConnection: () => bytes });
    this.#session = session;
    // After the end too: an error that nobody hears would end the process.
    session.on("error", () => this.end("unreachable"));
    session.on("close", () => this.end("unreachable"));
    ask(session, this.#probe, authority, (outcome) => this.end(outcome));
  }

  received(bytes: Uint8Array): void {
    if (!this.#over) this.#bytes?.push(Buffer.from(bytes));
  }

  drained(): void {
    this.#bytes?.drained();
  }

  end(outcome: ProbeOutcome | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.attempt?.cancel();
    this.#session?.destroy();
    this.#bytes?.destroy();
    this.#socket?.terminate();
    if (outcome !== undefined) this.#onOutcome(outcome);
  }
}

const handlers = {
  open: (socket: TcpSocket<GrpcQuestion>) => socket.data.opened(socket),
  data: (socket: TcpSocket<GrpcQuestion>, bytes: Uint8Array) => socket.data.received(bytes),
  drain: (socket: TcpSocket<GrpcQuestion>) => socket.data.drained(),
  end: (socket: TcpSocket<GrpcQuestion>) => socket.data.end("unreachable"),
  close: (socket: TcpSocket<GrpcQuestion>) => socket.data.end("unreachable"),
  connectFailed: (question: GrpcQuestion) => question.end("unreachable"),
} as const;

/** A socket of ours as the runtime's HTTP/2 wants one; a question and its answer fit anywhere. */
class SocketBytes extends Duplex {
  readonly #out: TcpSocket<GrpcQuestion>;
  #waiting: Buffer = Buffer.alloc(0);

  constructor(out: TcpSocket<GrpcQuestion>) {
    super();
    this.#out = out;
    this.on("error", () => {});
  }

  override _read(): void {}

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#waiting = Buffer.concat([this.#waiting, bytes]);
    this.drained();
    done();
  }

  drained(): void {
    const { length } = this.#waiting;
    if (length === 0) return;
    const taken = Math.max(0, this.#out.write(this.#waiting, 0, length));
    this.#waiting = this.#waiting.subarray(taken);
  }
}

function ask(
  session: ReturnType<typeof connect>,
  { service, authority }: GrpcProbe,
  ownAuthority: string,
  end: (outcome: ProbeOutcome) => void,
): void {
  const stream = session.request({
    [constants.HTTP2_HEADER_METHOD]: "POST",
    [constants.HTTP2_HEADER_PATH]: "/grpc.health.v1.Health/Check",
    [constants.HTTP2_HEADER_AUTHORITY]: authority || ownAuthority,
    "content-type": "application/grpc",
    "user-agent": "mesh-health-check",
    te: "trailers",
  });
  let received = Buffer.alloc(0);
  let status = "";
  stream.on("response", (headers) => {
    status = String(headers["grpc-status"] ?? "");
    if (headers[":status"] !== 200) end("failed");
  });
  stream.on("trailers", (trailers) => {
    status = String(trailers["grpc-status"] ?? status);
  });
  stream.on("data", (bytes: Buffer) => {
    received = Buffer.concat([received, bytes]);
    if (received.length > ANSWER_BYTES_MAX) end("failed");
  });
  stream.on("end", () => end(status === "0" && isServing(received) ? "passed" : "failed"));
  stream.on("error", () => end("unreachable"));
  stream.end(healthRequest(service));
}

/** One uncompressed message { string service = 1 }. */
export function healthRequest(service: string): Uint8Array {
  const name = new TextEncoder().encode(service);
  const field = name.length === 0 ? [] : [0x0a, ...varint(name.length), ...name];
  return Uint8Array.from([0, 0, 0, field.length >> 8, field.length & 255, ...field]);
}

/** Of one uncompressed message { ServingStatus status = 1 }; other fields are passed over. */
export function isServing(frame: Uint8Array): boolean {
  if (frame.length < 5 || frame[0] !== 0) return false;
  const length = new DataView(frame.buffer, frame.byteOffset).getUint32(1);
  if (frame.length !== 5 + length) return false;
  let status = 0;
  for (let at = 5; at < frame.length; ) {
    // No field is longer than one octet's worth, or the message is not of this kind.
    if (frame[at] !== 0x08 || at + 1 >= frame.length || frame[at + 1]! > 0x7f) return false;
    status = frame[at + 1]!;
    at += 2;
  }
  return status === SERVING;
}

function varint(value: number): number[] {
  const octets: number[] = [];
  let left = value;
  for (; left > 0x7f; left >>= 7) octets.push((left & 0x7f) | 0x80);
  return [...octets, left];
}
