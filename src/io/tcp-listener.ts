/**
 * A bound TCP address. Bun listens with a backlog of 512 that cannot be set, so listen(2) is called
 * a second time with a larger one; SO_REUSEPORT lets several workers share the port.
 */
import type { SocketHandlers } from "./socket.ts";

export interface ListenOptions {
  readonly hostname: string;
  /** 0: any free port; see `TcpListener.port`. */
  readonly port: number;
  /** Other sockets of this user may bind the port too; the kernel spreads connections over them. */
  readonly reusePort?: boolean;
  /** Connections that may wait to be accepted; 4096 unless told (capped by net.core.somaxconn). */
  readonly backlog?: number;
  /** An already listening socket to take over, instead of binding: hot restart. */
  readonly fd?: number;
}

export interface TcpListener {
  readonly hostname: string;
  readonly port: number;
  readonly fd: number;
  /** Leaves new connections in the kernel's queue until resumeAccept. */
  pauseAccept(): void;
  resumeAccept(): void;
  /** Accepts no more; connections already accepted live on. */
  stop(): void;
}

/** The address cannot be bound: for one line on stderr. `code` is EADDRINUSE, EACCES, … */
export class ListenError extends Error {
  override readonly name = "ListenError";
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export function listenTcp<C>(_options: ListenOptions, _handlers: SocketHandlers<C>): TcpListener {
  throw new ListenError("ENOSYS", "not implemented yet");
}
