/**
 * One plaintext port for everything: gRPC (HTTP/2 by prior knowledge), Connect and gRPC-Web (either
 * version), and pages and REST by a fetch handler as the fallback.
 *
 *   accept ─▶ first bytes "PRI " ? ─▶ http2 server ┐
 *                  else          ─▶ http1 server ┴─▶ Connect routes, else the fetch handler
 *
 * Plaintext proves nobody's identity, so this binds to loopback only, and the kernel says whose
 * process it is; a browser that was lured to a name which resolves to loopback is refused by its
 * Host.
 */
import { createServer as createHttpServer } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import { createServer as createTcpServer, isIP, type Socket } from "node:net";
import type { Clock } from "../core/clock.ts";
import { type ApiOptions, apiHandler } from "./api-handler.ts";
import { listen } from "./listen.ts";
import { LoopbackPeers } from "./loopback-peer.ts";

export interface ServeOptions extends ApiOptions {
  readonly hostname: string;
  /** 0 picks one. */
  readonly port: number;
  readonly clock: Clock;
  /** Takes the connections that speak HTTP/2, and answers the routes there in its own way. */
  readonly http2?: (socket: Socket) => void;
}

export interface ApiServer {
  readonly hostname: string;
  readonly port: number;
  /** Accepts no more, ends what runs. */
  close(): Promise<void>;
}

const FIRST_BYTES_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_PROBE_MS = 15_000;
const PREFACE = Buffer.from("PRI ");

export async function serveApi(options: ServeOptions): Promise<ApiServer> {
  const peers = new LoopbackPeers();
  const handler = apiHandler(options, {
    scheme: "http",
    peerOf: (request) => {
      return peers.of("stream" in request ? request.stream.session?.socket : request.socket);
    },
  });
  const http2 = createHttp2Server(handler);
  const http1 = createHttpServer((request, response) => {
    if (isLoopbackAuthority(request.headers.host)) return handler(request, response);
    response.writeHead(421, { "content-type": "text/plain" });
    response.end("this name is not served here\n");
  });
  http2.on("sessionError", () => {});
  http1.on("clientError", (_, socket) => socket.destroy());
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    socket.setKeepAlive(true, KEEP_ALIVE_PROBE_MS);
    if (options.identify !== undefined) peers.add(socket);
    const cancel = options.clock.after(FIRST_BYTES_TIMEOUT_MS, () => socket.destroy());
    socket.on("close", cancel);
    sniff(socket, (isHttp2) => {
      cancel();
      if (isHttp2 && options.http2 !== undefined) options.http2(socket);
      else (isHttp2 ? http2 : http1).emit("connection", socket);
    });
  });
  const { hostname, port } = await listen(server, options);
  return {
    hostname,
    port,
    async close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** "127.0.0.1", "::1", "localhost" */
export function isLoopback(hostname: string): boolean {
  if (isIP(hostname) === 4) return hostname.startsWith("127.");
  return hostname === "localhost" || hostname === "::1";
}

/** The Host of a request that was meant for this machine. */
export function isLoopbackAuthority(authority: string | undefined): boolean {
  if (authority === undefined) return false;
  const host = authority.replace(/:\d*$/, "").replace(/^\[(.*)\]$/, "$1");
  return isLoopback(host.toLowerCase());
}

function sniff(socket: Socket, decide: (isHttp2: boolean) => void): void {
  let seen = Buffer.alloc(0);
  const onData = (chunk: Buffer): void => {
    seen = Buffer.concat([seen, chunk]);
    const length = Math.min(seen.length, PREFACE.length);
    const maybe = seen.subarray(0, length).equals(PREFACE.subarray(0, length));
    if (maybe && length < PREFACE.length) return;
    socket.off("data", onData);
    socket.pause();
    socket.unshift(seen);
    decide(maybe);
    socket.resume();
  };
  socket.on("data", onData);
}
