/**
 * What every port of the API does with a request, whatever it came in by:
 *
 *   who calls? ─▶ a page of somebody else? ─▶ Connect, gRPC, gRPC-Web, else the fetch handler
 *
 * Callers who are not of this mesh's operators are read no large message from.
 */
import type { ConnectRouter, Interceptor } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import {
  type FetchHandler,
  type NodeHandler,
  type NodeServerRequest,
  nodeHandler,
} from "./fetch-handler.ts";
import { isForeignPage } from "./foreign-page.ts";
import { type Identify, identifyNobody, type Peer } from "./peer.ts";
import { type Caller, callerValues, NOBODY } from "./principal.ts";

export interface ApiOptions {
  readonly routes: (router: ConnectRouter) => void;
  /** What the routes do not answer. */
  readonly fetch: FetchHandler;
  /** Nobody is known unless told. */
  readonly identify?: Identify;
  /** Whether a caller may send messages as large as `messageBytesMax`; everybody unless told. */
  readonly isTrusted?: (caller: Caller) => boolean;
  readonly interceptors?: Interceptor[];
  /** 64 MiB unless told. */
  readonly messageBytesMax?: number;
}

const MESSAGE_BYTES_MAX = 64 << 20;
/** Of who is not trusted: a request for a certificate, a registration. */
const STRANGER_BYTES_MAX = 256 << 10;

export interface ApiDoor {
  readonly scheme: "http" | "https";
  readonly peerOf: (request: NodeServerRequest) => Peer;
}

export function apiHandler(options: ApiOptions, { scheme, peerOf }: ApiDoor): NodeHandler {
  const { identify = identifyNobody, isTrusted = () => true } = options;
  const callers = new WeakMap<NodeServerRequest, Caller>();
  const callerOf = (request: NodeServerRequest): Caller => callers.get(request) ?? NOBODY;
  const handlerFor = (readMaxBytes: number): NodeHandler =>
    connectNodeAdapter({
      routes: options.routes,
      interceptors: options.interceptors ?? [],
      contextValues: (request) => callerValues(callerOf(request)),
      readMaxBytes,
      // On loopback, bytes cost less than making them fewer.
      compressMinBytes: MESSAGE_BYTES_MAX,
      fallback: nodeHandler({ fetch: options.fetch, scheme, callerOf }),
    });
  const trusted = handlerFor(options.messageBytesMax ?? MESSAGE_BYTES_MAX);
  const stranger = handlerFor(Math.min(STRANGER_BYTES_MAX, options.messageBytesMax ?? Infinity));
  return (request, response) => {
    const { authorization, cookie } = request.headers;
    const caller = identify(peerOf(request), { authorization, cookie });
    callers.set(request, caller);
    if (request.method === "POST" && isForeignPage(headerOf(request), scheme)) {
      response.writeHead(403, { "content-type": "text/plain" });
      response.end("no requests of other pages\n");
      return;
    }
    (isTrusted(caller) ? trusted : stranger)(request, response);
  };
}

function headerOf({ headers }: NodeServerRequest): (name: string) => string | undefined {
  return (name) => {
    const value = name === "host" ? (headers[":authority"] ?? headers.host) : headers[name];
    return typeof value === "string" ? value : value?.join(", ");
  };
}
