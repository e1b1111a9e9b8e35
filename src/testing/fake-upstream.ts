/**
 * An HTTP/1 service on a real socket that does what a script says, byte for byte, and remembers
 * what it was sent. It knows just enough HTTP to tell requests apart: content-length and chunked.
 *
 * The default script answers 200 with "ok". A script gets each request when it is complete.
 */
import { type FrameState, frameRequests } from "./request-frame.ts";

export interface FakeRequest {
  readonly method: string;
  readonly target: string;
  /** Request line and fields as they came, with the empty line; latin1. */
  readonly head: string;
  /** Values of a field, by lower-case name; undefined: absent. Several lines: joined by ", ". */
  readonly field: (name: string) => string | undefined;
  /** Decoded; latin1. */
  readonly body: string;
  /** Counts connections from 1, in the order they were accepted. */
  readonly connection: number;
}

/** What a script can do with the connection of a request. */
export interface FakeReply {
  /** Sends bytes as they are; a string as latin1. */
  send(data: string | Uint8Array): void;
  /** Sends a complete response with content-length. */
  respond(status: number, body?: string, fields?: Readonly<Record<string, string>>): void;
  /** FIN after what was sent. */
  end(): void;
  /** RST at once. */
  reset(): void;
}

export type FakeScript = (request: FakeRequest, reply: FakeReply) => void | Promise<void>;

export interface FakeUpstreamOptions {
  /** A free one unless told. */
  readonly port?: number;
  readonly hostname?: string;
  readonly script?: FakeScript;
  /** Called when a connection opens, before any request: to reset it, or to talk first. */
  readonly onConnection?: (reply: FakeReply) => void;
}

interface Peer {
  readonly number: number;
  readonly frames: FrameState;
  readonly unsent: Uint8Array[];
  ending: boolean;
}

export class FakeUpstream {
  /** In the order in which they were complete. */
  readonly requests: FakeRequest[] = [];
  /** Everything received on all connections, as it came; latin1. */
  received = "";
  /** May be changed at any time; counts for the requests that follow. */
  script: FakeScript;
  readonly #listener: Bun.TCPSocketListener<Peer>;
  readonly #open = new Set<Bun.Socket<Peer>>();
  readonly #waiters: { holds: () => boolean; settle: () => void }[] = [];
  #connections = 0;

  constructor(options: FakeUpstreamOptions = {}) {
    this.script = options.script ?? ((_request, reply) => reply.respond(200, "ok"));
    this.#listener = Bun.listen<Peer>({
      hostname: options.hostname ?? "127.0.0.1",
      port: options.port ?? 0,
      allowHalfOpen: true,
      socket: {
        open: (socket) => {
          socket.data = {
            number: ++this.#connections,
            frames: { pending: "" },
            unsent: [],
            ending: false,
          };
          this.#open.add(socket);
          options.onConnection?.(replyOn(socket));
          this.#settle();
        },
        data: (socket, bytes) => this.#receive(socket, bytes),
        drain,
        end: (socket) => {
          socket.data.ending = true;
          drain(socket);
        },
        close: (socket) => {
          this.#open.delete(socket);
          this.#settle();
        },
      },
    });
  }

  get port(): number {
    return this.#listener.port;
  }

  /** Connections accepted so far. */
  get connections(): number {
    return this.#connections;
  }

  get openConnections(): number {
    return this.#open.size;
  }

  /** Resolves when the condition holds, tried after each request, connection and close. */
  until(holds: () => boolean, timeoutMs = 15_000): Promise<void> {
    if (holds()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        const n = this.requests.length;
        reject(new Error(`the upstream waited ${timeoutMs} ms; it had ${n} requests`));
      }, timeoutMs);
      const settle = (): void => {
        clearTimeout(timer);
        resolve();
      };
      this.#waiters.push({ holds, settle });
    });
  }

  /** Accepts no more; open connections stay. */
  stop(): void {
    this.#listener.stop();
  }

  /** Resets what is open. */
  resetConnections(): void {
    for (const socket of [...this.#open]) socket.terminate();
  }

  close(): void {
    this.#listener.stop(true);
    this.resetConnections();
  }

  #receive(socket: Bun.Socket<Peer>, bytes: Uint8Array): void {
    const text = Buffer.from(bytes).toString("latin1");
    this.received += text;
    for (const { head, body } of frameRequests(socket.data.frames, text)) {
      const [method = "", target = ""] = head.slice(0, head.indexOf("\r\n")).split(" ");
      const field = (name: string): string | undefined => fieldOf(head, name);
      const request = { method, target, head, field, body, connection: socket.data.number };
      this.requests.push(request);
      void this.script(request, replyOn(socket));
    }
    this.#settle();
  }

  #settle(): void {
    for (let i = this.#waiters.length - 1; i >= 0; i--) {
      if (!this.#waiters[i]!.holds()) continue;
      this.#waiters.splice(i, 1)[0]!.settle();
    }
  }
}

function replyOn(socket: Bun.Socket<Peer>): FakeReply {
  const send = (data: string | Uint8Array): void => {
    socket.data.unsent.push(typeof data === "string" ? Buffer.from(data, "latin1") : data);
    drain(socket);
  };
  return {
    send,
    respond(status, body = "", fields = {}) {
      let head = `HTTP/1.1 ${status} ${status < 400 ? "OK" : "Failed"}\r\n`;
      for (const [name, value] of Object.entries(fields)) head += `${name}: ${value}\r\n`;
      if (status !== 204 && status !== 304) head += `content-length: ${body.length}\r\n`;
      send(`${head}\r\n${body}`);
    },
    end() {
      socket.data.ending = true;
      drain(socket);
    },
    reset: () => socket.terminate(),
  };
}

function drain(socket: Bun.Socket<Peer>): void {
  const { unsent } = socket.data;
  for (let first = unsent[0]; first !== undefined; first = unsent[0]) {
    const taken = socket.write(first, 0, first.length);
    if (taken < 0) return;
    if (taken < first.length) {
      unsent[0] = first.subarray(taken);
      return;
    }
    unsent.shift();
  }
  if (socket.data.ending) socket.end();
}

function fieldOf(head: string, name: string): string | undefined {
  const values = head
    .split("\r\n")
    .slice(1)
    .filter((line) => line.toLowerCase().startsWith(`${name}:`))
    .map((line) => line.slice(name.length + 1).trim());
  return values.length === 0 ? undefined : values.join(", ");
}
