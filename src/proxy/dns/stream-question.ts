/** One question to a resolver over a TCP connection of its own. */
import type { TcpSocket } from "../../io/socket.ts";
import type { ConnectAttempt, ConnectHandlers } from "../../io/tcp-connector.ts";
import { frame, StreamFrames } from "./stream-frame.ts";

const ANSWER_BYTES_MAX = 65_535;

export class StreamQuestion {
  attempt: ConnectAttempt | undefined;
  readonly #bytes: Uint8Array;
  readonly #onMessage: (bytes: Uint8Array) => void;
  readonly #onEnd: () => void;
  readonly #frames = new StreamFrames(ANSWER_BYTES_MAX);
  #socket: TcpSocket<StreamQuestion> | undefined;

  constructor(bytes: Uint8Array, onMessage: (bytes: Uint8Array) => void, onEnd: () => void) {
    this.#bytes = bytes;
    this.#onMessage = onMessage;
    this.#onEnd = onEnd;
  }

  open(socket: TcpSocket<StreamQuestion>): void {
    this.#socket = socket;
    const framed = frame(this.#bytes);
    // A question is far shorter than what a new connection takes at once.
    if (socket.write(framed, 0, framed.length) !== framed.length) this.end();
  }

  receive(bytes: Uint8Array): void {
    const messages = this.#frames.push(bytes);
    if (messages === undefined) return this.end();
    for (const message of messages) this.#onMessage(message);
  }

  end(): void {
    this.#onEnd();
  }

  close(): void {
    this.attempt?.cancel();
    this.#socket?.terminate();
    this.#socket = undefined;
  }
}

export const streamQuestionHandlers: ConnectHandlers<StreamQuestion> = {
  open: (socket) => socket.data.open(socket),
  data: (socket, bytes) => socket.data.receive(bytes),
  drain() {},
  end: (socket) => socket.data.end(),
  close: (socket) => socket.data.end(),
  connectFailed: (question) => question.end(),
};
