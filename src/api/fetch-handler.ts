/**
 * A fetch handler behind node's servers: their requests and responses, of either HTTP version, as
 * Request and Response. Bodies stream; a response that nobody reads any more is cancelled.
 */
import type { ConnectNodeAdapterOptions } from "@connectrpc/connect-node";

type NodeHandler = NonNullable<ConnectNodeAdapterOptions["fallback"]>;
type NodeServerRequest = Parameters<NodeHandler>[0];
type NodeServerResponse = Parameters<NodeHandler>[1];

export type FetchHandler = (request: Request) => Response | Promise<Response>;

export function nodeHandler(fetch: FetchHandler): NodeHandler {
  return (request, response) => {
    answer(fetch, request, response).catch(() => response.destroy());
  };
}

async function answer(
  fetch: FetchHandler,
  request: NodeServerRequest,
  response: NodeServerResponse,
): Promise<void> {
  const gone = new AbortController();
  response.on("close", () => gone.abort());
  const reply = await fetch(requestOf(request, gone.signal));
  response.statusCode = reply.status;
  for (const [name, value] of reply.headers) response.setHeader(name, value);
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
function requestOf(request: NodeServerRequest, signal: AbortSignal): Request {
  const headers = new Headers();
  for (const [name, value] of Object.entries(request.headers))
    if (!name.startsWith(":") && value !== undefined)
      headers.set(name, Array.isArray(value) ? value.join(", ") : value);
  const authority = request.headers[":authority"] ?? request.headers.host ?? "localhost";
  const url = new URL(request.url ?? "/", `http://${String(authority)}`);
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
