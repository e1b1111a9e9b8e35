/**
 * Keep-alive clients on real sockets that count what a user would notice. A request fails when its
 * answer is not 2xx, is cut, or never comes; a connection that the proxy closed after saying
 * `connection: close` is opened anew, as any client does.
 */
export interface LoadOptions {
  readonly port: number;
  readonly host: string;
  readonly path?: string;
  readonly connections: number;
  /** Wait of each client between its requests. */
  readonly pauseMs?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface LoadCount {
  readonly requests: number;
  readonly failures: readonly string[];
  /** How often each body was answered. */
  readonly bodies: ReadonlyMap<string, number>;
}

interface Client {
  socket: Bun.Socket<Client> | undefined;
  received: Buffer;
  busy: boolean;
  sentAt: number;
}

export class Load {
  readonly #options: LoadOptions;
  readonly #request: string;
  readonly #bodies = new Map<string, number>();
  readonly #failures: string[] = [];
  readonly #latencies: number[] = [];
  #requests = 0;
  #stopping = false;
  #open = 0;
  #onQuiet: () => void = () => {};

  constructor(options: LoadOptions) {
    this.#options = options;
    const extra = Object.entries(options.headers ?? {}).map(([k, v]) => `${k}: ${v}\r\n`);
    const line = `GET ${options.path ?? "/"} HTTP/1.1`;
    this.#request = `${line}\r\nHost: ${options.host}\r\n${extra.join("")}\r\n`;
  }

  start(): this {
    for (let i = 0; i < this.#options.connections; i++) void this.#connect();
    return this;
  }

  get requests(): number {
    return this.#requests;
  }

  /** 0..1 ─▶ milliseconds. */
  latencyMs(quantile: number): number {
    const sorted = [...this.#latencies].sort((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * quantile))] ?? Number.NaN;
  }

  /** Resolves when so many requests more are answered. */
  async reach(more: number): Promise<void> {
    const goal = this.#requests + more;
    while (this.#requests < goal && !this.#stopping) await Bun.sleep(5);
  }

  /** Lets running requests end, and says what happened. */
  async stop(): Promise<LoadCount> {
    this.#stopping = true;
    const quiet = new Promise<void>((resolve) => {
      this.#onQuiet = resolve;
    });
    if (this.#open > 0) await Promise.race([quiet, Bun.sleep(10_000)]);
    if (this.#open > 0) this.#failures.push(`${this.#open} requests without an answer`);
    return { requests: this.#requests, failures: this.#failures, bodies: this.#bodies };
  }

  async #connect(): Promise<void> {
    if (this.#stopping) return;
    this.#open++;
    try {
      await Bun.connect<Client>({
        hostname: "127.0.0.1",
        port: this.#options.port,
        data: { socket: undefined, received: Buffer.alloc(0), busy: false, sentAt: 0 },
        socket: {
          open: (socket) => this.#send(socket),
          data: (socket, chunk) => this.#receive(socket, chunk),
          close: (socket) => this.#closed(socket.data),
        },
      });
    } catch (error) {
      this.#failures.push(`connect: ${error instanceof Error ? error.message : error}`);
      this.#leave();
      await Bun.sleep(20);
      void this.#connect();
    }
  }

  #send(socket: Bun.Socket<Client>): void {
    socket.data.busy = true;
    socket.data.sentAt = performance.now();
    socket.write(this.#request);
  }

  #receive(socket: Bun.Socket<Client>, chunk: Uint8Array): void {
    const client = socket.data;
    client.received = Buffer.concat([client.received, chunk]);
    const end = client.received.indexOf("\r\n\r\n");
    if (end === -1) return;
    const head = client.received.toString("latin1", 0, end).toLowerCase();
    const length = Number(/\r\ncontent-length: (\d+)/.exec(head)?.[1] ?? -1);
    const chunked = head.includes("transfer-encoding: chunked");
    const whole = chunked
      ? client.received.indexOf("0\r\n\r\n", end) !== -1
      : length >= 0 && client.received.length >= end + 4 + length;
    if (!whole) return;
    this.#answered(head, client.received.toString("latin1", end + 4));
    this.#latencies.push(performance.now() - client.sentAt);
    client.received = Buffer.alloc(0);
    client.busy = false;
    if (this.#stopping || head.includes("\r\nconnection: close")) return void socket.end();
    if (this.#options.pauseMs === undefined) return this.#send(socket);
    setTimeout(() => {
      if (this.#stopping) socket.end();
      else if (socket.readyState === 1) this.#send(socket);
    }, this.#options.pauseMs);
  }

  #answered(head: string, body: string): void {
    this.#requests++;
    this.#bodies.set(body, (this.#bodies.get(body) ?? 0) + 1);
    if (!/^http\/1\.1 2\d\d/.test(head)) this.#failures.push(head.replaceAll("\r\n", " | "));
  }

  #closed(client: Client): void {
    if (client.busy) this.#failures.push(`closed before the answer: "${client.received}"`);
    this.#leave();
    void this.#connect();
  }

  #leave(): void {
    this.#open--;
    if (this.#open === 0) this.#onQuiet();
  }
}
