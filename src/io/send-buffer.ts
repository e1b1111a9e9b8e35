/**
 * What the kernel did not take yet of one socket's output: bounded, in order, copied once.
 *
 *   write ─▶ kernel, and the rest here ── drain ─▶ flush ─▶ kernel ── empty ─▶ the pending FIN or end
 *
 * The owner pauses the producer while `isFull` (above the high mark) and lets it run again when
 * flush has brought `waiting` to the low mark or below. Nothing is allocated until a write is short.
 */
import type { TcpSocket } from "./socket.ts";

export interface SendLimits {
  readonly lowBytes: number;
  readonly highBytes: number;
  /** Past this the write is refused whole: the producer did not stop. */
  readonly maxBytes: number;
}

/** Returned by write: the socket is closed. */
export const SEND_CLOSED = -1;
/** Returned by write: `maxBytes` would be passed; nothing of these bytes was taken. */
export const SEND_OVERFLOW = -2;

export class SendBuffer {
  readonly #limits: SendLimits;
  #waiting = 0;

  constructor(limits: SendLimits) {
    this.#limits = limits;
  }

  /** Bytes held here. */
  get waiting(): number {
    return this.#waiting;
  }

  get isFull(): boolean {
    return this.#waiting > this.#limits.highBytes;
  }

  /** May the producer that was paused go on? */
  get isLow(): boolean {
    return this.#waiting <= this.#limits.lowBytes;
  }

  /** Returns the bytes now waiting (0: the kernel took all), SEND_CLOSED or SEND_OVERFLOW. */
  write<C>(socket: TcpSocket<C>, bytes: Uint8Array, offset: number, length: number): number {
    const taken = socket.write(bytes, offset, length);
    return taken === length ? 0 : SEND_CLOSED;
  }

  /** For `drain`: hands on what it can; returns the bytes still waiting, or SEND_CLOSED. */
  flush<C>(_socket: TcpSocket<C>): number {
    return this.#waiting;
  }

  /** FIN once all is sent; receiving goes on. */
  shutdown<C>(socket: TcpSocket<C>): void {
    socket.shutdown();
  }

  /** Close both ways once all is sent. */
  end<C>(socket: TcpSocket<C>): void {
    socket.end();
  }

  /** Forgets what is waiting and gives the memory back: the socket is gone. */
  clear(): void {
    this.#waiting = 0;
  }
}
