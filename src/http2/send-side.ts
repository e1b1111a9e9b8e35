/**
 * Content on its way out: windows of the connection and of streams (RFC 9113 5.2), and the queue
 * of the streams that have more than there is room for.
 */
import { Flag, FrameType, frameHeaderBytes, windowAtStart } from "./frame.ts";
import type { OutputBuffer } from "./output-buffer.ts";
import type { PeerSettings } from "./peer-settings.ts";
import type { SessionLimits } from "./session-limits.ts";
import type { SessionSink } from "./session-sink.ts";
import type { Stream } from "./stream.ts";

/** Frames of content are no longer, so that a short answer need not wait for a long one. */
const dataFrameBytesMax = 16 * 1024;

export class SendSide<U> {
  /** What the peer takes on the connection. */
  window = windowAtStart;
  readonly #out: OutputBuffer;
  readonly #peer: PeerSettings;
  readonly #limits: SessionLimits;
  readonly #sink: SessionSink<U>;
  #queue: Stream<U>[] = [];
  /** The stream whose DATA ends the output, at this position as counted by OutputBuffer.base. */
  #lastStream: Stream<U> | undefined = undefined;
  #lastEnd = -1;
  /** DATA frames put out since the counter was last read. */
  framesSent = 0;

  constructor(out: OutputBuffer, peer: PeerSettings, limits: SessionLimits, sink: SessionSink<U>) {
    this.#out = out;
    this.#peer = peer;
    this.#limits = limits;
    this.#sink = sink;
  }

  /** As Stream.write, for a range [from, to) of `bytes`; returns how much was taken. */
  write(stream: Stream<U>, bytes: Uint8Array, from: number, to: number): number {
    const room = this.#limits.outputBytesMax - this.#out.length;
    const window = Math.min(stream.sendWindow, this.window);
    const taken = Math.max(0, Math.min(to - from, window, room));
    let at = from;
    const end = from + taken;
    if (taken > 0) at += this.#extend(stream, bytes, from, end);
    const max = Math.min(this.#peer.frameBytesMax, dataFrameBytesMax);
    const out = this.#out;
    while (at < end) {
      const size = Math.min(max, end - at);
      stream.lastFrameAt = this.#begin(stream, size, 0);
      out.range(bytes, at, at + size);
      at += size;
    }
    if (taken > 0) {
      this.#lastStream = stream;
      this.#lastEnd = out.base + out.end;
      stream.sendWindow -= taken;
      this.window -= taken;
    }
    return taken;
  }

  /** END_STREAM on the stream's last frame if that is still here, else on an empty DATA. */
  end(stream: Stream<U>): void {
    const out = this.#out;
    if (stream.lastFrameAt >= 0 && out.holds(stream.lastFrameAt)) {
      out.bytes[stream.lastFrameAt - out.base + 4]! |= Flag.endStream;
    } else this.#begin(stream, 0, Flag.endStream);
  }

  /** The stream has more to send. */
  wait(stream: Stream<U>): void {
    stream.waits = true;
    if (stream.isQueued) return;
    stream.isQueued = true;
    this.#queue.push(stream);
  }

  get hasWaiting(): boolean {
    return this.#queue.length > 0;
  }

  /** Room came to be: tells those that it helps, each once, in the order that they came. */
  wake(): void {
    const queue = this.#queue;
    if (queue.length === 0 || !this.#hasRoom()) return;
    this.#queue = [];
    for (const stream of queue) {
      stream.isQueued = false;
      if (!stream.waits || stream.localEnded) continue;
      if (stream.sendWindow > 0 && this.#hasRoom()) {
        stream.waits = false;
        this.#sink.streamWritable(stream);
      } else this.wait(stream);
    }
  }

  #hasRoom(): boolean {
    return this.window > 0 && this.#out.length < this.#limits.outputBytesMax;
  }

  #begin(stream: Stream<U>, size: number, flags: number): number {
    const out = this.#out;
    out.frame(size, FrameType.data, flags, stream.id);
    this.framesSent++;
    return out.base + out.end - frameHeaderBytes;
  }

  /** Lengthens the DATA frame that ends the output if it is the stream's; returns by how much. */
  #extend(stream: Stream<U>, bytes: Uint8Array, from: number, to: number): number {
    const out = this.#out;
    if (this.#lastStream !== stream || this.#lastEnd !== out.base + out.end) return 0;
    if (!out.holds(stream.lastFrameAt)) return 0;
    const length = this.#lastEnd - stream.lastFrameAt - frameHeaderBytes;
    const max = Math.min(this.#peer.frameBytesMax, dataFrameBytesMax);
    const size = Math.min(to - from, max - length);
    if (size <= 0) return 0;
    out.reserve(size);
    const at = stream.lastFrameAt - out.base;
    const total = length + size;
    out.bytes[at] = total >> 16;
    out.bytes[at + 1] = total >> 8;
    out.bytes[at + 2] = total;
    out.range(bytes, from, from + size);
    return size;
  }
}
