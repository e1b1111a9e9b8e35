/**
 * HTTP/2 clients and servers for tests: the runtime's own, so that none of our code judges itself.
 */
import {
  type ClientHttp2Session,
  connect,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";

export interface Http2Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly trailers: IncomingHttpHeaders | undefined;
  readonly interim: readonly IncomingHttpHeaders[];
  readonly body: string;
}

/** A client on one connection, with prior knowledge. */
export class Http2Client {
  readonly session: ClientHttp2Session;

  constructor(port: number) {
    this.session = connect(`http://127.0.0.1:${port}`);
    this.session.on("error", () => {});
  }

  /** Rejects where the stream is reset. */
  request(headers: OutgoingHttpHeaders, body?: string | Uint8Array): Promise<Http2Answer> {
    const stream = this.session.request({ ":authority": "svc", ":path": "/", ...headers });
    const answered = answerOf(stream);
    if (body === undefined) stream.end();
    else stream.end(body);
    return answered;
  }

  close(): void {
    this.session.destroy();
  }
}

type ClientStream = ReturnType<ClientHttp2Session["request"]>;

export function answerOf(stream: ClientStream): Promise<Http2Answer> {
  return new Promise((resolve, reject) => {
    let headers: IncomingHttpHeaders = {};
    let trailers: IncomingHttpHeaders | undefined;
    const interim: IncomingHttpHeaders[] = [];
    const chunks: Buffer[] = [];
    stream.on("headers", (one) => interim.push(one));
    stream.on("response", (one) => {
      headers = one;
    });
    stream.on("trailers", (one) => {
      trailers = one;
    });
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("end", () => {
      const body = Buffer.concat(chunks).toString("latin1");
      resolve({ status: Number(headers[":status"]), headers, trailers, interim, body });
    });
    stream.on("error", reject);
    stream.on("close", () => reject(new Error(`closed with ${stream.rstCode}`)));
  });
}

export type Http2Script = (
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
) => void | Promise<void>;

/** A server that does what a script says; it counts its connections and streams. */
export class Http2Service {
  readonly port: number;
  connections = 0;
  readonly seen: IncomingHttpHeaders[] = [];
  readonly #server: Http2Server;
  readonly #sessions = new Set<{ destroy(): void }>();
  readonly #sockets = new Set<{ destroy(): void }>();

  private constructor(server: Http2Server, port: number) {
    this.#server = server;
    this.port = port;
  }

  static async start(script: Http2Script): Promise<Http2Service> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    const service = new Http2Service(server, address.port);
    server.on("connection", (socket) => {
      service.#sockets.add(socket);
      socket.on("close", () => service.#sockets.delete(socket));
    });
    server.on("session", (session) => {
      service.connections++;
      service.#sessions.add(session);
      session.on("error", () => {});
      session.on("close", () => service.#sessions.delete(session));
    });
    server.on("stream", (stream, headers) => {
      stream.on("error", () => {});
      service.seen.push(headers);
      void script(stream as ServerHttp2Stream, headers);
    });
    return service;
  }

  /** Closes its connections without a word. */
  breakOff(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  close(): void {
    for (const session of this.#sessions) session.destroy();
    this.#server.close();
  }
}

/** Everything that a stream brings, as text. */
export async function contentOf(stream: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString("latin1");
}
