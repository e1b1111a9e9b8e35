/**
 * A port for unary methods that are called for each request of a mesh: gRPC on our own codec;
 * Connect and gRPC-Web over either version of HTTP. Otherwise as serve.ts.
 */
import type { Socket } from "node:net";
import type { Clock } from "../core/clock.ts";
import type { FetchHandler } from "./fetch-handler.ts";
import { GrpcConnection } from "./grpc-connection.ts";
import { GrpcServer } from "./grpc-server.ts";
import type { LinkSocket } from "./http2-link.ts";
import { type ApiServer, serveApi } from "./serve.ts";
import { routesOf, type UnaryMethod } from "./unary-method.ts";

const DRAIN_LOOK_MS = 20;

export interface ServeUnaryOptions {
  readonly hostname: string;
  /** 0 picks one. */
  readonly port: number;
  readonly clock: Clock;
  readonly methods: readonly UnaryMethod[];
  readonly messageBytesMax: number;
  readonly heldBytesMax: number;
  /** At a time on one connection. */
  readonly callsMax: number;
  /** Once it closes, for calls under way; 0 unless told. */
  readonly drainMs?: number;
  readonly fetch: FetchHandler;
}

export async function serveUnary(options: ServeUnaryOptions): Promise<ApiServer> {
  const server = new GrpcServer(options);
  const connections = new Set<GrpcConnection>();
  const api = await serveApi({
    ...options,
    routes: routesOf(options.methods),
    http2: (socket) => {
      const connection = connect(server, socket);
      connections.add(connection);
      socket.on("close", () => connections.delete(connection));
    },
  });
  return {
    ...api,
    async close() {
      for (const connection of connections) connection.drain();
      await gone(connections, options);
      await api.close();
    },
  };
}

/** Waits for those that still have calls. */
function gone(
  connections: ReadonlySet<GrpcConnection>,
  { clock, drainMs = 0 }: ServeUnaryOptions,
): Promise<void> {
  const untilMs = clock.nowMs() + drainMs;
  return new Promise((resolve) => {
    const look = (): void => {
      const isOver = [...connections].every(({ calls }) => calls === 0);
      if (isOver || clock.nowMs() >= untilMs) resolve();
      else clock.after(DRAIN_LOOK_MS, look);
    };
    // What was answered in this turn leaves at its end.
    clock.after(0, look);
  });
}

function connect(server: GrpcServer, socket: Socket): GrpcConnection {
  const connection = new GrpcConnection(server, linkSocketOf(socket));
  socket.on("data", (bytes: Buffer) => {
    connection.received(bytes);
    if (connection.isClogged) socket.pause();
  });
  socket.on("drain", () => {
    connection.drained();
    if (!connection.isClogged) socket.resume();
  });
  socket.on("end", () => socket.end());
  socket.on("close", () => connection.closed());
  return connection;
}

/** Takes all or, while it is over its own mark, nothing. */
function linkSocketOf(socket: Socket): LinkSocket {
  return {
    write(bytes, from, length) {
      if (socket.destroyed) return -1;
      if (socket.writableNeedDrain) return 0;
      socket.write(Buffer.from(bytes.subarray(from, from + length)));
      return length;
    },
    end: () => void socket.end(),
    destroy: () => void socket.destroy(),
  };
}
