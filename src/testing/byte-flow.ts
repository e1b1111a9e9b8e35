/**
 * One end of a TCP connection that sends a known sequence of bytes and checks that it receives one:
 * byte i of a flow of the same seed is always the same, however it was cut.
 */
const PERIOD = 65_521;
const BLOCKS = 4;

function sequence(seed: number): Uint8Array {
  const period = Uint8Array.from({ length: PERIOD }, (_, i) => (i * 31 + (i >> 8) + seed) & 0xff);
  return Buffer.concat(Array.from({ length: BLOCKS }, () => period));
}

interface Waiter {
  readonly holds: () => boolean;
  readonly settle: () => void;
}

export interface FlowOptions {
  /** Bytes to send, then FIN. */
  readonly sends: number;
  readonly sendSeed: number;
  readonly receiveSeed: number;
  /** FIN waits until that many bytes have been received. */
  readonly endsAfter?: number;
}

const WAIT_MS = 8_000;

export class ByteFlow {
  readonly #options: FlowOptions;
  readonly #out: Uint8Array;
  readonly #in: Uint8Array;
  readonly #waiters: Waiter[] = [];
  #socket: Bun.Socket<unknown> | undefined;
  sent = 0;
  received = 0;
  /** The first byte that was another than it should; −1: none. */
  wrongAt = -1;
  ended = false;
  closed = false;
  wasReset = false;

  constructor(options: FlowOptions) {
    this.#options = options;
    this.#out = sequence(options.sendSeed);
    this.#in = sequence(options.receiveSeed);
  }

  /** The handlers of Bun.connect, or of Bun.listen for one connection. */
  get handlers() {
    return {
      binaryType: "uint8array" as const,
      open: (socket: Bun.Socket<unknown>) => {
        this.#socket = socket;
        this.#send();
      },
      data: (_socket: unknown, bytes: Uint8Array) => this.#receive(bytes),
      drain: () => this.#send(),
      end: () => this.#note(() => (this.ended = true)),
      close: (_socket: unknown, error?: Error) =>
        this.#note(() => {
          this.closed = true;
          this.wasReset = error !== undefined && error !== null;
          // Bun tells of FIN by this alone once we have sent ours.
          this.ended ||= !this.wasReset;
        }),
    };
  }

  pause(): void {
    this.#socket?.pause();
  }

  resume(): void {
    this.#socket?.resume();
  }

  terminate(): void {
    this.#socket?.terminate();
  }

  end(): void {
    this.#socket?.end();
  }

  shutdown(): void {
    this.#socket?.shutdown();
  }

  /** Resolves when the condition holds, which is tried after each event. */
  until(holds: () => boolean, what: string): Promise<void> {
    if (holds()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error(`waited for ${what}; sent ${this.sent}, received ${this.received}`));
      }, WAIT_MS);
      const settle = (): void => {
        clearTimeout(timer);
        resolve();
      };
      this.#waiters.push({ holds, settle });
    });
  }

  /** Outside of the sequence. */
  write(text: string): void {
    this.#socket?.write(text);
  }

  #send(): void {
    const { sends, endsAfter = 0 } = this.#options;
    while (this.sent < sends) {
      const at = this.sent % PERIOD;
      const wanted = Math.min(this.#out.length - at, sends - this.sent);
      const taken = this.#socket!.write(this.#out, at, wanted);
      if (taken < 0) return;
      this.sent += taken;
      if (taken < wanted) return this.#note(() => {});
    }
    if (this.received >= endsAfter) this.#socket!.shutdown();
    this.#note(() => {});
  }

  #receive(bytes: Uint8Array): void {
    for (let from = 0; from < bytes.length && this.wrongAt === -1; ) {
      const at = (this.received + from) % PERIOD;
      const n = Math.min(bytes.length - from, this.#in.length - at);
      const same = Buffer.compare(bytes.subarray(from, from + n), this.#in.subarray(at, at + n));
      if (same !== 0) this.wrongAt = this.received + from;
      from += n;
    }
    this.#note(() => (this.received += bytes.length));
    const { sends, endsAfter = 0 } = this.#options;
    if (endsAfter > 0 && this.sent === sends && this.received >= endsAfter) this.#send();
  }

  #note(change: () => void): void {
    change();
    for (let i = this.#waiters.length - 1; i >= 0; i--) {
      if (!this.#waiters[i]!.holds()) continue;
      this.#waiters.splice(i, 1)[0]!.settle();
    }
  }
}
