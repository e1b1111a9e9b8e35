/**
 * DNS over TCP: each message behind its length, two octets (RFC 1035, 4.2.2). Bytes in, messages
 * out, however they are cut. What is longer than allowed, or empty, ends the stream.
 */
export class StreamFrames {
  readonly #bytesMax: number;
  #held: Uint8Array = new Uint8Array(0);

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Whether a part of a message is waiting for the rest. */
  get isWaiting(): boolean {
    return this.#held.length > 0;
  }

  /** Messages that are whole now; undefined: the stream is not to be read any further. */
  push(bytes: Uint8Array): readonly Uint8Array[] | undefined {
    const all = this.#held.length === 0 ? bytes : Buffer.concat([this.#held, bytes]);
    const messages: Uint8Array[] = [];
    let at = 0;
    while (all.length - at >= 2) {
      const length = (all[at]! << 8) | all[at + 1]!;
      if (length === 0 || length > this.#bytesMax) return undefined;
      if (all.length - at < 2 + length) break;
      messages.push(all.slice(at + 2, at + 2 + length));
      at += 2 + length;
    }
    this.#held = all.slice(at);
    return messages;
  }
}

export function frame(message: Uint8Array): Uint8Array {
  const framed = new Uint8Array(2 + message.length);
  framed[0] = message.length >> 8;
  framed[1] = message.length & 0xff;
  framed.set(message, 2);
  return framed;
}
