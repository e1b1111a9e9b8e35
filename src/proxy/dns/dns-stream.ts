/**
 * A connection of an application that asks by TCP. Questions may follow each other without waiting;
 * answers go out as they come. Bounded: connections, questions under way, time without a question,
 * and what an application leaves unread.
 */
import { SendBuffer, SendPool } from "../../io/send-buffer.ts";
import type { SocketHandlers, TcpSocket } from "../../io/socket.ts";
import { Timer, type TimerWheel } from "../../io/timer-wheel.ts";
import { QUERY_BYTES_MAX } from "./message.ts";
import { frame, StreamFrames } from "./stream-frame.ts";

export interface DnsStreamOwner {
  readonly timers: TimerWheel;
  readonly streams: Set<DnsStream>;
  /** Calls back at most once. */
  readonly answer: (message: Uint8Array, onAnswer: (answer: Uint8Array) => void) => void;
}

const STREAMS_MAX = 128;
const UNDER_WAY_MAX = 32;
const IDLE_MS = 10_000;

const sendPool = new SendPool({ lowBytes: 32_768, highBytes: 65_536, maxBytes: 262_144 }, 0);

export class DnsStream extends Timer {
  readonly #owner: DnsStreamOwner;
  readonly #socket: TcpSocket<DnsStream>;
  readonly #frames = new StreamFrames(QUERY_BYTES_MAX);
  readonly #output = new SendBuffer(sendPool);
  #underWay = 0;
  /** The application has said all; it may still hear. */
  #isHalfClosed = false;

  constructor(socket: TcpSocket<DnsStream>, owner: DnsStreamOwner) {
    super();
    this.#socket = socket;
    this.#owner = owner;
    owner.timers.arm(this, IDLE_MS);
  }

  receive(bytes: Uint8Array): void {
    if (!this.#owner.streams.has(this)) return;
    const messages = this.#frames.push(bytes);
    if (messages === undefined) return this.close();
    if (messages.length > 0) this.#owner.timers.arm(this, IDLE_MS);
    for (const message of messages) {
      if (++this.#underWay > UNDER_WAY_MAX) return this.close();
      this.#owner.answer(message, (answer) => this.#send(answer));
    }
  }

  end(): void {
    this.#isHalfClosed = true;
    if (this.#underWay === 0) this.#output.end(this.#socket);
  }

  drain(): void {
    this.#output.flush(this.#socket);
  }

  override expire(): void {
    this.close();
  }

  close(): void {
    this.#socket.terminate();
    this.forget();
  }

  /** The socket is closed. */
  forget(): void {
    this.#owner.timers.release(this);
    this.#owner.streams.delete(this);
    this.#output.clear();
  }

  #send(answer: Uint8Array): void {
    this.#underWay--;
    if (!this.#owner.streams.has(this)) return;
    const framed = frame(answer);
    if (this.#output.write(this.#socket, framed, 0, framed.length) < 0) this.close();
    else if (this.#isHalfClosed && this.#underWay === 0) this.#output.end(this.#socket);
  }
}

export function dnsStreamHandlers(owner: DnsStreamOwner): SocketHandlers<DnsStream> {
  return {
    open(socket) {
      const stream = new DnsStream(socket, owner);
      socket.data = stream;
      if (owner.streams.size >= STREAMS_MAX) return stream.close();
      owner.streams.add(stream);
    },
    data: (socket, bytes) => socket.data.receive(bytes),
    drain: (socket) => socket.data.drain(),
    end: (socket) => socket.data.end(),
    close: (socket) => socket.data.forget(),
  };
}
