/**
 * The first octets of a request's content, for a step that wants to see them before the request
 * goes anywhere. What is read is kept as it came, and put back when the step has been asked: the
 * exchange then finds its input as if nobody had looked.
 *
 *   input ─▶ kept as it came ─┬─▶ (out of its chunks) ─▶ shown
 *                              └─▶ put back
 */
import { copyRange } from "../../core/copy-range.ts";
import { Framing } from "../../http/message-head.ts";
import { ChunkEvent, ChunkedDecoder } from "../../http1/chunked-decoder.ts";
import type { Exchange, InputReader, PolicyWait } from "./exchange.ts";
import { armTimer } from "./timing.ts";

/** Whatever a rule says: it is all in memory at once. */
const SHOWN_MAX = 1_048_576;
/** What chunks may add to what is in them. */
const FRAMES_MAX = 65_536;
const FIRST_BYTES = 1_024;
const CONTINUE = new TextEncoder().encode("HTTP/1.1 100 Continue\r\n\r\n");

export class BodyPreview implements PolicyWait, InputReader {
  readonly #ex: Exchange;
  readonly #bytesMax: number;
  readonly #onShown: () => void;
  readonly #raw = new GrowingBytes();
  readonly #content: GrowingBytes;
  readonly #chunks: ChunkedDecoder | undefined = undefined;
  #isWhole = false;
  /** Of the content, where less than all that is kept is of it. */
  #count = Number.POSITIVE_INFINITY;

  /** `onShown` is called once, unless the exchange is over before. */
  constructor(ex: Exchange, bytesMax: number, onShown: () => void) {
    this.#ex = ex;
    this.#bytesMax = Math.min(bytesMax, SHOWN_MAX);
    this.#onShown = onShown;
    const isChunked = ex.requestFraming === Framing.chunked;
    if (isChunked) this.#chunks = new ChunkedDecoder(ex.env.limits.chunk);
    this.#content = isChunked ? new GrowingBytes() : this.#raw;
  }

  /** At most `bytesMax` octets. */
  get bytes(): Uint8Array {
    return this.#content.bytes.subarray(0, Math.min(this.#length, this.#bytesMax));
  }

  /** There is more than `bytes`. */
  get isPartial(): boolean {
    return !this.#isWhole || this.#length > this.#bytesMax;
  }

  /** True: it is shown already. False: it waits for more. */
  begin(asksToContinue: boolean): boolean {
    const ex = this.#ex;
    this.#read();
    if (this.#isEnough) {
      this.#putBack();
      return true;
    }
    ex.wait = this;
    ex.reader = this;
    const { stream } = ex.downstream!;
    if (asksToContinue && stream === undefined) ex.downstream!.send(CONTINUE, 0, CONTINUE.length);
    armTimer(ex);
    return false;
  }

  inputArrived(): void {
    const ex = this.#ex;
    ex.progressMs = ex.env.nowMs;
    this.#read();
    if (!this.#isEnough) return armTimer(ex);
    ex.wait = undefined;
    ex.reader = undefined;
    this.#putBack();
    this.#onShown();
  }

  expire(): void {}

  cancel(): void {
    this.#ex.reader = undefined;
  }

  get #isEnough(): boolean {
    const isTooMuch = this.#raw.length > this.#bytesMax + FRAMES_MAX;
    return this.#isWhole || this.#length > this.#bytesMax || isTooMuch;
  }

  get #length(): number {
    return Math.min(this.#content.length, this.#count);
  }

  #read(): void {
    const ex = this.#ex;
    const downstream = ex.downstream!;
    const { input, inputAt, inputEnd, inputDone } = downstream;
    if (input !== undefined && inputAt < inputEnd) {
      this.#raw.add(input, inputAt, inputEnd);
      downstream.inputAt = inputEnd;
      if (this.#chunks !== undefined) this.#decode(this.#chunks, input, inputAt, inputEnd);
    }
    if (ex.requestFraming === Framing.stream) this.#isWhole = inputDone;
    if (ex.requestFraming !== Framing.length) return;
    this.#isWhole = this.#raw.length >= ex.requestRemaining;
    // What follows is another request's.
    if (this.#isWhole) this.#count = ex.requestRemaining;
  }

  #decode(chunks: ChunkedDecoder, input: Uint8Array, from: number, to: number): void {
    for (let at = from; ; ) {
      at = chunks.next(input, at, to);
      if (chunks.event === ChunkEvent.data)
        this.#content.add(input, chunks.dataStart, chunks.dataEnd);
      else {
        this.#isWhole ||= chunks.event === ChunkEvent.end;
        return;
      }
    }
  }

  #putBack(): void {
    const { bytes, length } = this.#raw;
    if (length > 0) this.#ex.downstream!.restoreInput(bytes, length);
  }
}

class GrowingBytes {
  bytes = new Uint8Array(FIRST_BYTES);
  length = 0;

  add(source: Uint8Array, from: number, to: number): void {
    const needed = this.length + to - from;
    if (needed > this.bytes.length) {
      const grown = new Uint8Array(Math.max(needed, this.bytes.length * 2));
      copyRange.call(this.bytes, grown, 0, 0, this.length);
      this.bytes = grown;
    }
    copyRange.call(source, this.bytes, this.length, from, to);
    this.length = needed;
  }
}
