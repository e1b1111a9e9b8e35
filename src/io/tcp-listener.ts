/**
 * A bound TCP address. Bun listens with a backlog of 512 that cannot be set, so listen(2) is called
 * a second time with a larger one. To pause accepting, the listening socket is kept open by a
 * duplicate while Bun's own is stopped: the kernel goes on queueing, nobody is refused.
 */
import { libc } from "./libc.ts";
import type { SocketHandlers } from "./socket.ts";
import { localAddressOf } from "./socket-address.ts";
import { setBacklog, setTransparent } from "./socket-options.ts";

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
  /** For "::": IPv4 is another socket's. */
  readonly ipv6Only?: boolean;
  /** Takes connections to any address, as TPROXY hands them over; needs CAP_NET_ADMIN. */
  readonly transparent?: boolean;
}

const BACKLOG = 4_096;

/** The address cannot be bound: for one line on stderr. `code` is EADDRINUSE, EACCES, … */
export class ListenError extends Error {
  override readonly name = "ListenError";
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** Throws ListenError. */
export function listenTcp<C>(options: ListenOptions, handlers: SocketHandlers<C>): TcpListener {
  const native = bunHandlers(handlers);
  const listener = bind(options, native);
  if (options.transparent === true && !setTransparent(listener.fd)) {
    listener.stop();
    const { hostname, port } = options;
    throw new ListenError("EPERM", `cannot listen on ${hostname}:${port} for TPROXY (EPERM)`);
  }
  setBacklog(listener.fd, options.backlog ?? BACKLOG);
  return new TcpListener(listener, native, options);
}

/** What Bun's types leave out. */
interface BunListener {
  readonly fd: number;
  readonly port: number | undefined;
  stop(): void;
}

type BunHandlers = ReturnType<typeof bunHandlers>;

export class TcpListener {
  readonly hostname: string;
  readonly port: number;
  readonly #handlers: BunHandlers;
  #listener: BunListener | undefined;
  /** While paused: holds the socket open. */
  #held = -1;

  constructor(listener: BunListener, handlers: BunHandlers, options: ListenOptions) {
    const bound = options.fd === undefined ? undefined : localAddressOf(options.fd);
    this.hostname = bound?.address ?? options.hostname;
    this.port = bound?.port ?? listener.port ?? options.port;
    this.#handlers = handlers;
    this.#listener = listener;
  }

  /** −1 once stopped. Changes when accepting is paused and resumed. */
  get fd(): number {
    return this.#listener?.fd ?? this.#held;
  }

  /** Leaves new connections in the kernel's queue; false: not possible here, accepting goes on. */
  pauseAccept(): boolean {
    if (this.#listener === undefined) return this.#held !== -1;
    const held = libc()?.dup(this.#listener.fd) ?? -1;
    if (held === -1) return false;
    this.#held = held;
    this.#listener.stop();
    this.#listener = undefined;
    return true;
  }

  resumeAccept(): void {
    if (this.#held === -1) return;
    const fd = this.#held;
    this.#held = -1;
    this.#listener = listenOn({ fd, socket: this.#handlers });
  }

  /** Accepts no more; connections already accepted live on. */
  stop(): void {
    this.#listener?.stop();
    this.#listener = undefined;
    if (this.#held !== -1) libc()?.close(this.#held);
    this.#held = -1;
  }
}

function bind(options: ListenOptions, socket: BunHandlers): BunListener {
  const { hostname, port, fd, reusePort = false, ipv6Only = false } = options;
  try {
    if (fd !== undefined) return listenOn({ fd, socket });
    return listenOn({ hostname, port, reusePort, ipv6Only, socket });
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    throw new ListenError(code, `cannot listen on ${hostname}:${port}: ${reasonOf(code, error)}`);
  }
}

function reasonOf(code: string, error: unknown): string {
  if (code === "EADDRINUSE") return "the port is taken (EADDRINUSE)";
  if (code === "EACCES") return "not allowed; ports below 1024 need a privilege (EACCES)";
  if (code === "EADDRNOTAVAIL") return "this machine has no such address (EADDRNOTAVAIL)";
  return error instanceof Error ? error.message : String(error);
}

/** Bun calls these directly, with `socket.data` as the owner set it. */
export function bunHandlers<C>(handlers: SocketHandlers<C>) {
  return {
    binaryType: "uint8array",
    open: handlers.open,
    data: handlers.data,
    drain: handlers.drain,
    end: handlers.end,
    close: handlers.close,
    error: rethrowOwn,
  } as const;
}

/** Bun reports here what a handler threw: our mistake. The system's errors end in `close`. */
function rethrowOwn(_socket: unknown, error: Error): void {
  if (!("syscall" in error)) throw error;
}

interface NativeListen {
  readonly fd?: number;
  readonly hostname?: string;
  readonly port?: number;
  readonly reusePort?: boolean;
  readonly ipv6Only?: boolean;
  readonly socket: BunHandlers;
}

function listenOn(options: NativeListen): BunListener {
  // Bun's types know neither `fd` nor `reusePort`, and require an address beside a descriptor.
  const listen = Bun.listen as unknown as (
    o: NativeListen & { allowHalfOpen: true },
  ) => BunListener;
  return listen({ ...options, allowHalfOpen: true });
}
