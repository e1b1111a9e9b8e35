/**
 * Questions that are not the mesh's: asked of the machine's own resolvers, one after another, each
 * with a time limit, from a random port with a random id; an answer counts if it comes from the
 * resolver asked, has the id, and repeats the question.
 *
 *   asking ─▶ answered
 *     │  no answer in time, refused, or the resolver failed: the next one
 *     └─▶ given up (the last failure that a resolver sent, if one did)
 */
import { randomInt } from "node:crypto";
import type { Clock } from "../../core/clock.ts";
import type { SocketAddress } from "../../io/socket-address.ts";
import type { TcpConnector } from "../../io/tcp-connector.ts";
import { type ConnectedUdpSocket, connectUdp } from "../../io/udp.ts";
import { answers } from "./message.ts";
import { StreamQuestion } from "./stream-question.ts";
import { ResponseCode, responseCode, withId } from "./wire.ts";

export interface ForwarderOptions {
  readonly clock: Clock;
  /** Asked for each question: the machine may have moved to another network. */
  readonly resolvers: () => readonly SocketAddress[];
  readonly connector: TcpConnector<StreamQuestion>;
  /** For one resolver to answer. */
  readonly timeoutMs?: number;
  /** Rounds through the resolvers. */
  readonly rounds?: number;
  readonly inFlightMax?: number;
}

export interface Question {
  readonly bytes: Uint8Array;
  readonly questionEnd: number;
  readonly by: "udp" | "tcp";
}

/** Undefined: nobody answered, or too much is under way. */
export type OnAnswer = (answer: Uint8Array | undefined) => void;

const TIMEOUT_MS = 2_000;
const ROUNDS = 2;
/** Each has a descriptor. */
const IN_FLIGHT_MAX = 256;

export class Forwarder {
  readonly #options: ForwarderOptions;
  readonly #asked = new Set<Asking>();
  readonly #inFlightMax: number;

  constructor(options: ForwarderOptions) {
    this.#options = options;
    this.#inFlightMax = options.inFlightMax ?? IN_FLIGHT_MAX;
  }

  get inFlight(): number {
    return this.#asked.size;
  }

  /** Calls back once, unless closed before. */
  ask(question: Question, onAnswer: OnAnswer): void {
    const { resolvers, rounds = ROUNDS } = this.#options;
    const servers = resolvers();
    if (this.#asked.size >= this.#inFlightMax || servers.length === 0) return onAnswer(undefined);
    const tries = Array.from({ length: rounds }, () => servers).flat();
    const asking = new Asking(question, tries, this.#options, (answer) => {
      this.#asked.delete(asking);
      onAnswer(answer);
    });
    this.#asked.add(asking);
    asking.next();
  }

  close(): void {
    for (const asking of this.#asked) asking.abandon();
    this.#asked.clear();
  }
}

/** One question under way. */
class Asking {
  readonly #question: Question;
  readonly #id: number;
  readonly #bytes: Uint8Array;
  readonly #tries: readonly SocketAddress[];
  readonly #options: ForwarderOptions;
  readonly #onAnswer: OnAnswer;
  #tried = 0;
  #failure: Uint8Array | undefined;
  #ended = false;
  #socket: ConnectedUdpSocket | undefined;
  #stream: StreamQuestion | undefined;
  #cancelTimer: () => void = () => {};

  constructor(
    question: Question,
    tries: readonly SocketAddress[],
    options: ForwarderOptions,
    onAnswer: OnAnswer,
  ) {
    this.#question = question;
    this.#id = (question.bytes[0]! << 8) | question.bytes[1]!;
    this.#bytes = withId(question.bytes, randomInt(0x10000));
    this.#tries = tries;
    this.#options = options;
    this.#onAnswer = onAnswer;
  }

  /** Asks the next resolver, or gives up. */
  next(): void {
    this.#leave();
    const resolver = this.#tries[this.#tried++];
    if (resolver === undefined) return this.#settle(this.#failure);
    const { clock, timeoutMs = TIMEOUT_MS } = this.#options;
    this.#cancelTimer = clock.after(timeoutMs, () => this.next());
    if (this.#question.by === "udp") void this.#askByUdp(resolver, this.#tried);
    else this.#askByTcp(resolver, timeoutMs);
  }

  abandon(): void {
    this.#ended = true;
    this.#leave();
  }

  async #askByUdp(resolver: SocketAddress, tried: number): Promise<void> {
    const isCurrent = (): boolean => !this.#ended && this.#tried === tried;
    const socket = await connectUdp(
      resolver,
      (bytes) => {
        if (isCurrent()) this.#receive(bytes);
      },
      () => {
        if (isCurrent()) this.next();
      },
    );
    if (!isCurrent()) return socket?.close();
    this.#socket = socket;
    if (socket?.send(this.#bytes) !== true) this.next();
  }

  #askByTcp(resolver: SocketAddress, timeoutMs: number): void {
    const stream = new StreamQuestion(
      this.#bytes,
      (bytes) => {
        if (this.#stream === stream) this.#receive(bytes);
      },
      () => {
        if (this.#stream === stream) this.next();
      },
    );
    this.#stream = stream;
    const target = { hostname: resolver.address, port: resolver.port };
    stream.attempt = this.#options.connector.connect(target, stream, timeoutMs);
  }

  #receive(bytes: Uint8Array): void {
    if (!answers(bytes, this.#bytes, this.#question.questionEnd)) return;
    const answer = withId(bytes, this.#id);
    const code = responseCode(answer);
    if (code === ResponseCode.noError || code === ResponseCode.nameError)
      return this.#settle(answer);
    this.#failure = answer;
    this.next();
  }

  #settle(answer: Uint8Array | undefined): void {
    if (this.#ended) return;
    this.abandon();
    this.#onAnswer(answer);
  }

  #leave(): void {
    this.#cancelTimer();
    this.#cancelTimer = () => {};
    this.#socket?.close();
    this.#socket = undefined;
    const stream = this.#stream;
    this.#stream = undefined;
    stream?.close();
  }
}
