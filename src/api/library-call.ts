/**
 * Calls that are not gRPC on a connection of ours: Connect and gRPC-Web, by the library's handlers,
 * which know no socket. Unary ones: their bodies are bounded and whole.
 */
import { createConnectRouter } from "@connectrpc/connect";
import type { UniversalHandler } from "@connectrpc/connect/protocol";
import { AssertionError } from "../core/assert.ts";
import { pathOf, routesOf, type UnaryMethod } from "./unary-method.ts";

export interface LibraryCall {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  /** HTTP/1.1 lines, each with its CRLF. */
  readonly lines: string;
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

  /** Never rejects. */
  async answer(call: LibraryCall): Promise<LibraryAnswer> {
    const url = URL.parse(call.target, "http://localhost");
    const handler = url === null ? undefined : this.#handlers.get(url.pathname);
    if (url === null || handler === undefined) return nothing(404);
    try {
      return await this.#ask(handler, url, call);
    } catch (thrown) {
      if (thrown instanceof AssertionError) throw thrown;
      // The library throws what a caller's head made it throw.
      return nothing(400);
    }
  }

  async #ask(
    handler: UniversalHandler,
    url: URL,
    { method, lines, body }: LibraryCall,
  ): Promise<LibraryAnswer> {
    const answered = await handler({
      httpVersion: "2.0",
      url: url.href,
      method,
      header: headersOf(lines),
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

function nothing(status: number): LibraryAnswer {
  return { status, headers: new Headers(), body: new Uint8Array(0), trailers: new Headers() };
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
function headersOf(lines: string): Headers {
  const headers = new Headers();
  for (const line of lines.split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) headers.append(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  return headers;
}
