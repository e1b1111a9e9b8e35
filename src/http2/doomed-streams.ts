/**
 * Requests whose end lies in the input behind them: a peer that opens a stream and has it reset in
 * one breath (CVE-2023-44487, CVE-2025-8671) would have us ask an upstream for nothing.
 *
 *   HEADERS 1 · HEADERS 3 · RST_STREAM 1 · HEADERS 5 …
 *               ╰──────── look ────────▶        1 is doomed
 *
 * One look over the frame headers of a read, at the first request in it. Only what is certain
 * counts: whoever is found here is reset by a frame that was received already, unless the
 * connection ends before. One for all sessions of a thread, since a look is used in its own read.
 */
import { Flag, FrameType, frameHeaderBytes, readUint31, windowMax } from "./frame.ts";

/** Of streams in one read that can be told apart; who is forgotten is merely served. */
const slots = 1024;

export class DoomedStreams {
  #look = 0;
  #window = 0;
  readonly #resetId = new Int32Array(slots);
  readonly #resetLook = new Float64Array(slots);
  readonly #endedId = new Int32Array(slots);
  readonly #endedLook = new Float64Array(slots);

  /**
   * What was seen before is forgotten; `window`: what the peer's SETTINGS give to a new stream.
   * Returns the number of this look: another session may look before this one asks.
   */
  begin(window: number): number {
    this.#window = window;
    return ++this.#look;
  }

  /** The peer has ended the stream: DATA for it is a fault from here on. */
  ends(id: number): void {
    const at = (id >> 1) & (slots - 1);
    this.#endedId[at] = id;
    this.#endedLook[at] = this.#look;
  }

  /** Over [from, to), where frames begin. */
  look(bytes: Uint8Array, from: number, to: number): void {
    let at = from;
    while (at + frameHeaderBytes <= to) {
      const length = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
      const type = bytes[at + 3]!;
      const payload = at + frameHeaderBytes;
      // Windows are no longer certain behind it.
      if (type === FrameType.settings) return;
      const id = readUint31(bytes, at + 5);
      if (type === FrameType.data) {
        if (this.#isIn(this.#endedId, this.#endedLook, id)) this.#reset(id);
      } else if (payload + length <= to) {
        if (type !== FrameType.headers) {
          if (this.#resets(type, length, id, readUint31(bytes, payload))) this.#reset(id);
        } else if ((bytes[at + 4]! & Flag.endStream) !== 0) this.ends(id);
      }
      at = payload + length;
    }
  }

  /** A frame that resets the stream was seen in that look, and it was the last one. */
  has(id: number, look: number): boolean {
    return look === this.#look && this.#isIn(this.#resetId, this.#resetLook, id);
  }

  /** What a frame does to a stream that is open; `word`: the first four octets of its payload. */
  #resets(type: number, length: number, id: number, word: number): boolean {
    switch (type) {
      case FrameType.rstStream:
        return length === 4;
      case FrameType.windowUpdate:
        return length === 4 && (word === 0 || word > windowMax - this.#window);
      case FrameType.priority:
        return length !== 5 || word === id;
      default:
        return false;
    }
  }

  #reset(id: number): void {
    const at = (id >> 1) & (slots - 1);
    this.#resetId[at] = id;
    this.#resetLook[at] = this.#look;
  }

  #isIn(ids: Int32Array, looks: Float64Array, id: number): boolean {
    const at = (id >> 1) & (slots - 1);
    return ids[at] === id && looks[at] === this.#look;
  }
}
