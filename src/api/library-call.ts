/**
 * Calls that are not gRPC on a connection of ours: Connect and gRPC-Web, by the library's handlers,
 * which know no socket. Unary ones: their bodies are bounded and whole.
 */
import { createConnectRouter } from "@connectrpc/connect";
import type { UniversalHandler } from "@connectrpc/connect/protocol";
import { pathOf, routesOf, type UnaryMethod } from "./unary-method.ts";

export interface LibraryCall {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  readonly headers: Headers;
  readonly body: Uint8Array;
}

export interface LibraryAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array;
  readonly trailers: Headers;
}

export class LibraryHandlers {
  readonly #handlers: ReadonlyMap<string, UniversalHandler>;

  constructor(methods: readonly UnaryMethod[], messageBytesMax: number) {
    const router = createConnectRouter({
      readMaxBytes: messageBytesMax,
      compressMinBytes: messageBytesMax,
      grpc: false,
    });
    routesOf(methods)(router);
    const paths = methods.map(pathOf);
    this.#handlers = new Map(
      router.handlers
        .filter(({ requestPath }) => paths.includes(requestPath))
        .map((handler) => [handler.requestPath, handler]),
    );
  }

  async answer({ method, target, headers, body }: LibraryCall): Promise<LibraryAnswer> {
    const url = new URL(target, "http://localhost");
    const handler = this.#handlers.get(url.pathname);
    const nothing = { body: new Uint8Array(0), trailers: new Headers() };
    if (handler === undefined) return { status: 404, headers: new Headers(), ...nothing };
    const answered = await handler({
      httpVersion: "2.0",
      url: url.href,
      method,
      header: headers,
      body: once(body),
      signal: new AbortController().signal,
    });
    const parts: Uint8Array[] = [];
    for await (const part of answered.body ?? []) parts.push(part);
    return {
      status: answered.status,
      headers: answered.header ?? new Headers(),
      body: new Uint8Array(Buffer.concat(parts)),
      trailers: answered.trailer ?? new Headers(),
    };
  }
}

async function* once(body: Uint8Array): AsyncIterable<Uint8Array> {
  if (body.length > 0) yield body;
}

/** As Connect has errors of unary calls. */
export function connectError(code: string, message: string): LibraryAnswer {
  return {
    status: 429,
    headers: new Headers({ "content-type": "application/json" }),
    body: new TextEncoder().encode(JSON.stringify({ code, message })),
    trailers: new Headers(),
  };
}

/** HTTP/1.1 lines, each with its CRLF. */
export function linesOf(headers: Headers): string {
  let lines = "";
  for (const [name, value] of headers) lines += `${name}: ${value}\r\n`;
  return lines;
}

/** Of lines of HTTP/1.1; those that are none are left out. */
export function headersOf(lines: string): Headers {
  const headers = new Headers();
  for (const line of lines.split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) headers.append(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  return headers;
}
