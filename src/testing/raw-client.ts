/**
 * Sends bytes exactly as given over a real TCP connection, and collects what comes back until a
 * condition holds. Waits have a limit, and say in their failure what had come.
 */
export interface RawClientOptions {
  readonly hostname?: string;
  readonly port: number;
  /** For each wait; 5 s unless told. */
  readonly timeoutMs?: number;
}

interface Waiter {
  readonly holds: () => boolean;
  readonly settle: () => void;
}

export class RawClient {
  readonly #timeoutMs: number;
  readonly #waiters: Waiter[] = [];
  #socket: Bun.Socket | undefined;
  #unsent: Uint8Array[] = [];
  #received = "";
  #bytesReceived = 0;
  #ended = false;
  #closed = false;
  #reset = false;

  private constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  static async connect(options: RawClientOptions): Promise<RawClient> {
    const client = new RawClient(options.timeoutMs ?? 15_000);
    client.#socket = await Bun.connect({
      hostname: options.hostname ?? "127.0.0.1",
      port: options.port,
      allowHalfOpen: true,
      socket: {
        data: (_socket, bytes) => client.#receive(bytes),
        drain: () => client.#drain(),
        end: () => client.#note(() => (client.#ended = true)),
        close: (_socket, error) =>
          client.#note(() => {
            client.#closed = true;
            client.#reset = error !== undefined;
          }),
      },
    });
    return client;
  }

  /** Everything received and not consumed by `take`, each byte one character (latin1). */
  get received(): string {
    return this.#received;
  }

  /** All bytes received, consumed or not. */
  get bytesReceived(): number {
    return this.#bytesReceived;
  }

  /** The peer has sent FIN or RST, or the connection is closed. */
  get ended(): boolean {
    return this.#ended || this.#closed;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** The connection ended in an error: the peer sent RST. */
  get wasReset(): boolean {
    return this.#reset;
  }

  get localPort(): number {
    return this.#socket?.localPort ?? 0;
  }

  /** A string is sent as latin1: one byte a character. */
  send(data: string | Uint8Array): void {
    const bytes = typeof data === "string" ? Buffer.from(data, "latin1") : data;
    this.#unsent.push(bytes);
    this.#drain();
  }

  /** Resolves when all that was given to `send` is in the kernel. */
  sent(): Promise<void> {
    return this.until(() => this.#unsent.length === 0 || this.#closed, "everything to be sent");
  }

  /** Resolves when the condition holds, which is tried after each event. */
  until(holds: () => boolean, what = "a condition"): Promise<void> {
    if (holds()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        const shown = JSON.stringify(this.#received.slice(-400));
        const state = this.#closed ? "closed" : this.#ended ? "ended" : "open";
        reject(new Error(`waited ${this.#timeoutMs} ms for ${what}; ${state}; had ${shown}`));
      }, this.#timeoutMs);
      const settle = (): void => {
        clearTimeout(timer);
        resolve();
      };
      this.#waiters.push({ holds, settle });
    });
  }

  /** Waits for the text and returns everything up to and including it, consumed. */
  async take(text: string): Promise<string> {
    await this.until(() => this.#received.includes(text), JSON.stringify(text));
    const end = this.#received.indexOf(text) + text.length;
    return this.#consume(end);
  }

  /** Waits for n bytes and returns them, consumed. */
  async takeBytes(n: number): Promise<string> {
    await this.until(() => this.#received.length >= n, `${n} bytes`);
    return this.#consume(n);
  }

  /** Waits for the peer's FIN or RST, and returns everything not consumed. */
  async untilEnd(): Promise<string> {
    await this.until(() => this.ended, "the end of the connection");
    return this.#consume(this.#received.length);
  }

  /**
   * One HTTP/1 response, consumed: head, and body by content-length, chunked coding (as sent) or
   * close. `bodyless`: the request was HEAD.
   */
  async takeResponse(bodyless = false): Promise<RawResponse> {
    const head = await this.take("\r\n\r\n");
    const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(head)?.[1] ?? 0);
    const response = { head, status, body: "" };
    if (bodyless || status < 200 || status === 204 || status === 304) return response;
    const length = /^content-length: *(\d+)/im.exec(head)?.[1];
    if (/^transfer-encoding: *chunked/im.test(head)) response.body = await this.#takeChunks();
    else if (length !== undefined) response.body = await this.takeBytes(Number(length));
    else response.body = await this.untilEnd();
    return response;
  }

  pause(): void {
    this.#socket?.pause();
  }

  resume(): void {
    this.#socket?.resume();
  }

  /** Sends FIN; goes on receiving. */
  shutdown(): void {
    this.#socket?.shutdown();
  }

  /** Closes at once with RST. */
  terminate(): void {
    this.#socket?.terminate();
  }

  close(): void {
    this.#socket?.end();
  }

  async #takeChunks(): Promise<string> {
    let body = "";
    for (;;) {
      const size = Number.parseInt(await this.take("\r\n"), 16);
      if (Number.isNaN(size)) throw new Error("not a chunk size");
      if (size === 0) break;
      body += (await this.takeBytes(size + 2)).slice(0, size);
    }
    for (let line = await this.take("\r\n"); line !== "\r\n"; ) line = await this.take("\r\n");
    return body;
  }

  #consume(end: number): string {
    const text = this.#received.slice(0, end);
    this.#received = this.#received.slice(end);
    return text;
  }

  #receive(bytes: Uint8Array): void {
    this.#note(() => {
      this.#received += Buffer.from(bytes).toString("latin1");
      this.#bytesReceived += bytes.length;
    });
  }

  #drain(): void {
    for (let first = this.#unsent[0]; first !== undefined; first = this.#unsent[0]) {
      const taken = this.#socket!.write(first, 0, first.length);
      if (taken < 0) this.#unsent = [];
      else if (taken < first.length) {
        this.#unsent[0] = first.subarray(taken);
        return;
      } else this.#unsent.shift();
    }
    this.#note(() => {});
  }

  #note(change: () => void): void {
    change();
    for (let i = this.#waiters.length - 1; i >= 0; i--) {
      if (!this.#waiters[i]!.holds()) continue;
      this.#waiters.splice(i, 1)[0]!.settle();
    }
  }
}

export interface RawResponse {
  /** Status line and fields, with the empty line. */
  readonly head: string;
  readonly status: number;
  readonly body: string;
}
