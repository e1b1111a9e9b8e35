/**
 * A fetch handler behind node's servers: their requests and responses, of either HTTP version, as
 * Request and Response. Bodies stream; a response that nobody reads any more is cancelled.
 */
import type { ConnectNodeAdapterOptions } from "@connectrpc/connect-node";
import type { Caller } from "./principal.ts";

export type NodeHandler = NonNullable<ConnectNodeAdapterOptions["fallback"]>;
export type NodeServerRequest = Parameters<NodeHandler>[0];
type NodeServerResponse = Parameters<NodeHandler>[1];

export type FetchHandler = (request: Request, caller?: Caller) => Response | Promise<Response>;

export interface NodeHandlerOptions {
  readonly fetch: FetchHandler;
  /** Of the port; what a request says of it does not count. */
  readonly scheme: "http" | "https";
  readonly callerOf: (request: NodeServerRequest) => Caller;
}

export function nodeHandler(options: NodeHandlerOptions): NodeHandler {
  return (request, response) => {
    answer(options, request, response).catch(() => response.destroy());
  };
}

async function answer(
  { fetch, scheme, callerOf }: NodeHandlerOptions,
  request: NodeServerRequest,
  response: NodeServerResponse,
): Promise<void> {
  const gone = new AbortController();
  response.on("close", () => gone.abort());
  const reply = await fetch(requestOf(request, scheme, gone.signal), callerOf(request));
  for (const [name, value] of reply.headers) response.setHeader(name, value);
  // A stream of HTTP/2 that is written to before would say 200 by itself, without these.
  response.writeHead(reply.status);
  if (reply.body === null || request.method === "HEAD") {
    response.end();
    return;
  }
  const reader = reply.body.getReader();
  gone.signal.addEventListener("abort", () => void reader.cancel().catch(() => {}));
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (!write(response, value)) await drained(response, gone.signal);
  }
  response.end();
}

/** Only what has no body comes here: everything that changes something goes through Connect. */
function requestOf(request: NodeServerRequest, scheme: string, signal: AbortSignal): Request {
  const headers = new Headers();
  for (const [name, value] of Object.entries(request.headers))
    if (!name.startsWith(":") && value !== undefined)
      headers.set(name, Array.isArray(value) ? value.join(", ") : value);
  const authority = request.headers[":authority"] ?? request.headers.host ?? "localhost";
  const url = new URL(request.url ?? "/", `${scheme}://${String(authority)}`);
  return new Request(url, { method: request.method ?? "GET", headers, signal });
}

function write(response: NodeServerResponse, bytes: Uint8Array): boolean {
  return "stream" in response ? response.stream.write(bytes) : response.write(bytes);
}

function drained(response: NodeServerResponse, gone: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const target = "stream" in response ? response.stream : response;
    target.once("drain", () => resolve());
    gone.addEventListener("abort", () => resolve());
  });
}
