/**
 * What the kernel did not take yet of one socket's output: bounded, in order, copied once.
 *
 *   write ─▶ kernel, the rest here ── drain ─▶ flush ─▶ kernel ── empty ─▶ the pending FIN or end
 *
 * Bun's `end` drops what the kernel did not take, so the end of a connection goes through here. The
 * owner pauses the producer while `isFull` and lets it run again when flush has made it `isLow`.
 * Nothing is allocated until a write is short; blocks come from a pool shared by all connections,
 * and what the pool does not keep is freed at once: the collector would be late for it in a flood.
 */
import { copyRange } from "../core/copy-range.ts";
import { Held, type HeldBytes, type Holder } from "./held-bytes.ts";
import type { TcpSocket } from "./socket.ts";
import { freeSpent } from "./spent-bytes.ts";

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

const BLOCK_BYTES = 65_536;
/** For the first bytes of a connection, if they are few: many slow readers with little to send. */
const SMALL_BLOCK_BYTES = 4_096;

interface Block {
  readonly bytes: Uint8Array;
  /** What is waiting in it: bytes[from, to). */
  from: number;
  to: number;
  next: Block | undefined;
}

/** Blocks of one length that nobody uses. */
class Spares {
  readonly #max: number;
  #first: Block | undefined;
  count = 0;

  constructor(max: number) {
    this.#max = Math.floor(max);
  }

  take(): Block | undefined {
    const block = this.#first;
    if (block === undefined) return undefined;
    this.#first = block.next;
    this.count--;
    block.next = undefined;
    return block;
  }

  give(block: Block): void {
    if (this.count === this.#max) return freeSpent(block.bytes);
    block.from = 0;
    block.to = 0;
    block.next = this.#first;
    this.#first = block;
    this.count++;
  }
}

/** The limits, and the blocks that connections take in turn. One for each thread and purpose. */
export class SendPool {
  readonly limits: SendLimits;
  /** Where the blocks in use are counted; undefined: nowhere. */
  readonly held: HeldBytes | undefined;
  readonly #blocks: Spares;
  /** Streams whose windows are full need one each, and come and go by the hundred in a turn. */
  readonly #smallBlocks: Spares;

  /** Keeps up to `spareBytesMax` for reuse, half of it small; 4 MiB unless told. */
  constructor(limits: SendLimits, spareBytesMax = 4 << 20, held?: HeldBytes) {
    this.limits = limits;
    this.held = held;
    this.#blocks = new Spares(spareBytesMax / 2 / BLOCK_BYTES);
    this.#smallBlocks = new Spares(spareBytesMax / 2 / SMALL_BLOCK_BYTES);
  }

  get spareBytes(): number {
    return this.#blocks.count * BLOCK_BYTES + this.#smallBlocks.count * SMALL_BLOCK_BYTES;
  }

  take(isSmall: boolean): Block {
    const spare = isSmall ? this.#smallBlocks.take() : this.#blocks.take();
    if (spare !== undefined) return spare;
    const bytes = new Uint8Array(isSmall ? SMALL_BLOCK_BYTES : BLOCK_BYTES);
    return { bytes, from: 0, to: 0, next: undefined };
  }

  giveBack(block: Block): void {
    (block.bytes.length === BLOCK_BYTES ? this.#blocks : this.#smallBlocks).give(block);
  }
}

export class SendBuffer {
  readonly #pool: SendPool;
  #first: Block | undefined;
  #last: Block | undefined;
  #waiting = 0;
  #after: "nothing" | "shutdown" | "end" = "nothing";
  readonly #held: Held | undefined;
  /** Of the blocks that it has. */
  #blockBytes = 0;

  /** `holder`: who goes when all buffers together hold too much. */
  constructor(pool: SendPool, holder?: Holder) {
    this.#pool = pool;
    const isCounted = holder !== undefined && pool.held !== undefined;
    this.#held = isCounted ? new Held(pool.held, holder) : undefined;
  }

  /** Bytes held here. */
  get waiting(): number {
    return this.#waiting;
  }

  /**
   * Above the high mark, or while much is held for all peers together above half the low one: the
   * producer is to pause.
   */
  get isFull(): boolean {
    const { held, limits } = this.#pool;
    return this.#waiting > (held?.isTight === true ? limits.lowBytes >> 1 : limits.highBytes);
  }

  /** At the low mark or below: a paused producer may go on. */
  get isLow(): boolean {
    return this.#waiting <= this.#pool.limits.lowBytes;
  }

  /** Returns the bytes now waiting (0: the kernel took all), SEND_CLOSED or SEND_OVERFLOW. */
  write<C>(socket: TcpSocket<C>, bytes: Uint8Array, offset: number, length: number): number {
    if (this.#waiting + length > this.#pool.limits.maxBytes) return SEND_OVERFLOW;
    if (this.#waiting !== 0) return this.#hold(bytes, offset, length);
    const taken = socket.write(bytes, offset, length);
    if (taken === length) return 0;
    if (taken < 0) return SEND_CLOSED;
    return this.#hold(bytes, offset + taken, length - taken);
  }

  /** For `drain`: hands on what it can; returns the bytes still waiting, or SEND_CLOSED. */
  flush<C>(socket: TcpSocket<C>): number {
    for (let block = this.#first; block !== undefined; block = this.#first) {
      const length = block.to - block.from;
      const taken = socket.write(block.bytes, block.from, length);
      if (taken < 0) return SEND_CLOSED;
      this.#waiting -= taken;
      block.from += taken;
      if (taken > 0) this.#held?.moved();
      if (taken < length) return this.#waiting;
      this.#first = block.next;
      this.#giveBack(block);
    }
    this.#last = undefined;
    if (this.#after === "shutdown") socket.shutdown();
    else if (this.#after === "end") socket.end();
    this.#after = "nothing";
    return 0;
  }

  /** FIN once all is sent; receiving goes on. No write may follow. */
  shutdown<C>(socket: TcpSocket<C>): void {
    if (this.#waiting === 0) socket.shutdown();
    else if (this.#after === "nothing") this.#after = "shutdown";
  }

  /** Closes both ways once all is sent. No write may follow. */
  end<C>(socket: TcpSocket<C>): void {
    if (this.#waiting === 0) socket.end();
    else this.#after = "end";
  }

  /** Forgets what is waiting and gives the memory back: the socket is gone. */
  clear(): void {
    for (let block = this.#first; block !== undefined; ) {
      const { next } = block;
      this.#giveBack(block);
      block = next;
    }
    this.#first = undefined;
    this.#last = undefined;
    this.#waiting = 0;
    this.#after = "nothing";
  }

  #hold(bytes: Uint8Array, offset: number, length: number): number {
    this.#waiting += length;
    const end = offset + length;
    for (let at = offset; at < end; ) {
      let block = this.#last;
      if (block === undefined || block.to === block.bytes.length) block = this.#append(end - at);
      const n = Math.min(end - at, block.bytes.length - block.to);
      copyRange.call(bytes, block.bytes, block.to, at, at + n);
      block.to += n;
      at += n;
    }
    return this.#waiting;
  }

  #append(length: number): Block {
    const isSmall = this.#last === undefined && length <= SMALL_BLOCK_BYTES;
    const block = this.#pool.take(isSmall);
    if (this.#last === undefined) this.#first = block;
    else this.#last.next = block;
    this.#last = block;
    this.#blockBytes += block.bytes.length;
    this.#held?.set(this.#blockBytes);
    return block;
  }

  #giveBack(block: Block): void {
    this.#blockBytes -= block.bytes.length;
    this.#held?.set(this.#blockBytes);
    this.#pool.giveBack(block);
  }
}
