/**
 * What both ends of an exchange have in common: a socket, the output that its kernel buffer had no
 * room for, and one timer. The buffer is made at the first short write, so an idle connection costs
 * this object alone.
 */
import type { Holder } from "../../io/held-bytes.ts";
import { SEND_OVERFLOW, SendBuffer, type SendPool } from "../../io/send-buffer.ts";
import type { TcpSocket } from "../../io/socket.ts";
import { Timer } from "../../io/timer-wheel.ts";

export abstract class SocketSide extends Timer implements Holder {
  /** Undefined before it is open and after it is closed. */
  socket: TcpSocket<unknown> | undefined = undefined;
  /** We stopped reading from the peer. */
  paused = false;
  #out: SendBuffer | undefined = undefined;

  protected abstract get sendPool(): SendPool;

  /** Bytes that wait for the peer to read. */
  get waiting(): number {
    return this.#out === undefined ? 0 : this.#out.waiting;
  }

  /** The producer of what is sent here should stop. */
  get isFull(): boolean {
    return this.#out?.isFull === true;
  }

  get isLow(): boolean {
    return this.#out === undefined || this.#out.isLow;
  }

  /**
   * Sends or keeps; the bytes are free for reuse. False: the socket is closed. A producer that did
   * not stop when this was full loses the connection, not the bytes in their middle.
   */
  send(bytes: Uint8Array, offset: number, length: number): boolean {
    const socket = this.socket;
    if (socket === undefined) return false;
    if (this.#out !== undefined && this.#out.waiting > 0)
      return this.#keep(this.#out, bytes, offset, length);
    const taken = socket.write(bytes, offset, length);
    if (taken === length) return true;
    if (taken < 0) return false;
    this.#out ??= new SendBuffer(this.sendPool, this);
    return this.#keep(this.#out, bytes, offset + taken, length - taken);
  }

  #keep(out: SendBuffer, bytes: Uint8Array, offset: number, length: number): boolean {
    const waiting = out.write(this.socket!, bytes, offset, length);
    if (waiting === SEND_OVERFLOW) this.abort();
    return waiting >= 0;
  }

  /** The kernel has room again. Returns what still waits, or SEND_CLOSED. */
  flush(): number {
    const socket = this.socket;
    const out = this.#out;
    if (socket === undefined || out === undefined) return 0;
    return out.waiting === 0 ? 0 : out.flush(socket);
  }

  pause(): void {
    if (this.paused || this.socket === undefined) return;
    this.paused = true;
    this.socket.pause();
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    this.socket?.resume();
  }

  /** FIN once everything is sent. */
  shutdown(): void {
    const socket = this.socket;
    if (socket === undefined) return;
    if (this.#out === undefined) socket.shutdown();
    else this.#out.shutdown(socket);
  }

  /** Closes both ways once everything is sent. */
  end(): void {
    const socket = this.socket;
    if (socket === undefined) return;
    if (this.#out === undefined) socket.end();
    else this.#out.end(socket);
  }

  /** Closes at once, with a reset, so that the peer cannot take a part for the whole. */
  abort(): void {
    this.socket?.terminate();
  }

  /** The process holds too much for peers that do not read, and for this one longest. */
  shed(): void {
    this.abort();
  }

  /** For the close event. */
  protected forget(): void {
    this.socket = undefined;
    this.paused = false;
    this.#out?.clear();
    this.#out = undefined;
  }
}
