/**
 * A socket with an HTTP/2 session on it, for calls of our own: what the session has to say leaves
 * once a turn of the event loop, in one write. Both sides of a call are built on it.
 */
import { type Failure, Failures } from "../core/failure.ts";
import type { Session } from "../http2/session.ts";
import type { Turn, TurnUser } from "../io/turn.ts";

/** What a link needs of its socket. */
export interface LinkSocket {
  /** How many octets it took, which are free for reuse then; fewer: `drained` follows. */
  write(bytes: Uint8Array, from: number, length: number): number;
  /** After what was written. */
  end(): void;
  /** At once. */
  destroy(): void;
}

export class Http2Link implements TurnUser {
  readonly #session: Session<never>;
  readonly #socket: LinkSocket;
  readonly #turn: Turn;
  readonly #nowMs: () => number;
  #isScheduled = false;
  #isFull = false;
  #isEnding = false;
  #isClosed = false;

  constructor(session: unknown, socket: LinkSocket, turn: Turn, nowMs: () => number) {
    this.#session = session as Session<never>;
    this.#socket = socket;
    this.#turn = turn;
    this.#nowMs = nowMs;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Nothing is taken in while the peer does not take what waits for it. */
  get isClogged(): boolean {
    return this.#session.isClogged;
  }

  received(bytes: Uint8Array): void {
    if (this.#isEnding) return;
    this.tick();
    this.#session.receive(bytes, 0, bytes.length);
    this.touch();
  }

  /** The session knows no clock. */
  tick(): void {
    this.#session.nowMs = Math.max(1, this.#nowMs());
  }

  /** The session may have something to say. */
  touch(): void {
    if (this.#isScheduled || this.#isFull || this.#isClosed) return;
    this.#isScheduled = true;
    this.#turn.add(this);
  }

  turnEnded(): void {
    this.#isScheduled = false;
    this.#send();
  }

  drained(): void {
    this.#isFull = false;
    this.tick();
    this.#send();
  }

  /** After what the session has said: its last words too. */
  end(): void {
    this.#isEnding = true;
    this.touch();
  }

  /** The socket is gone; whoever has a stream is told. */
  closed(failure: Failure = Failures.upstreamGone): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#isEnding = true;
    this.tick();
    this.#session.close(failure);
  }

  destroy(failure?: Failure): void {
    this.#socket.destroy();
    this.closed(failure);
  }

  #send(): void {
    const session = this.#session;
    while (!this.#isClosed) {
      const length = session.outputEnd - session.outputStart;
      if (length === 0) break;
      const taken = this.#socket.write(session.output, session.outputStart, length);
      if (taken < 0) return;
      if (taken > 0) session.outputTaken(taken);
      if (taken < length) {
        this.#isFull = true;
        return;
      }
    }
    if (this.#isEnding || session.isDrained) this.#socket.end();
  }
}
