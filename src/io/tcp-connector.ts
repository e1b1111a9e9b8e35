/**
 * Outgoing TCP connections with a time limit and a way to cancel; Bun.connect has neither.
 *
 * To an address: the socket is made here, told to connect, and given to Bun, which calls `open` at
 * once and `drain` when the connection stands; until then `terminate` ends the attempt and frees
 * the descriptor. To a name, or without a C library: Bun connects by itself, an attempt that was
 * given up is left to dangle, and its socket closed should it arrive late.
 */
import { type Failure, Failures } from "../core/failure.ts";
import { errno, libc } from "./libc.ts";
import type { SocketHandlers, TcpSocket } from "./socket.ts";
import { encodeSocketAddress, isLoopback } from "./socket-address.ts";
import { setPlainCongestionControl } from "./socket-options.ts";
import { bunHandlers } from "./tcp-listener.ts";
import { Timer, type TimerWheel } from "./timer-wheel.ts";

export type ConnectCause =
  | "refused"
  | "timeout"
  | "name-not-found"
  | "unreachable"
  | "reset"
  | "no-descriptors"
  /** There is a connection, but its peer does not speak what it has to. */
  | "protocol"
  | "failed";

export interface ConnectTarget {
  /** An address, or a name that the system resolver knows. */
  readonly hostname: string;
  readonly port: number;
}

/** `open` is called with `socket.data` being the connection given to `connect`. */
export interface ConnectHandlers<C> extends SocketHandlers<C> {
  /** Instead of `open`; nothing else follows. Never called after cancel. */
  connectFailed(connection: C, cause: ConnectCause): void;
}

/** A connect under way. */
export interface ConnectAttempt {
  /** Neither `open` nor `connectFailed` will be called. No effect once one of them was. */
  cancel(): void;
}

/** Made once for each kind of upstream connection. */
export class TcpConnector<C> {
  readonly #handlers: ConnectHandlers<C>;
  readonly #toAddress: NativeHandlers<C>;
  readonly #toName: NativeHandlers<C>;
  readonly #timers: TimerWheel;

  constructor(handlers: ConnectHandlers<C>, timers: TimerWheel) {
    this.#handlers = handlers;
    this.#toAddress = addressHandlers(handlers);
    this.#toName = nameHandlers(handlers);
    this.#timers = timers;
  }

  /** Never calls back before it has returned. */
  connect(target: ConnectTarget, connection: C, timeoutMs: number): ConnectAttempt {
    const attempt = new Attempt(this.#handlers, connection, this.#timers);
    this.#timers.arm(attempt, timeoutMs);
    const begun = beginConnect(target);
    if (begun instanceof ConnectError) queueMicrotask(() => attempt.fail(begun));
    else if (begun === undefined)
      this.#start(attempt, { hostname: target.hostname, port: target.port, socket: this.#toName });
    else this.#start(attempt, { fd: begun, socket: this.#toAddress });
    return attempt;
  }

  #start(attempt: Attempt<C>, where: NativeWhere<C>): void {
    // The outcome is told by the handlers; the promise says it a second time.
    bunConnect({ ...where, data: attempt, allowHalfOpen: true }).catch((error) =>
      attempt.fail(error),
    );
  }
}

/** The failure that a cause is to an exchange waiting for the connection. */
export function failureOf(cause: ConnectCause): Failure {
  return cause === "timeout" ? Failures.connectTimeout : Failures.connectFailure;
}

/** Stands in for the connection as `socket.data` until the connection stands. */
class Attempt<C> extends Timer implements ConnectAttempt {
  readonly connection: C;
  readonly #handlers: ConnectHandlers<C>;
  readonly #timers: TimerWheel;
  #socket: { terminate(): void } | undefined;
  #settled = false;

  constructor(handlers: ConnectHandlers<C>, connection: C, timers: TimerWheel) {
    super();
    this.#handlers = handlers;
    this.connection = connection;
    this.#timers = timers;
  }

  cancel(): void {
    if (this.settle()) this.#socket?.terminate();
  }

  override expire(): void {
    if (!this.settle()) return;
    this.#socket?.terminate();
    this.#handlers.connectFailed(this.connection, "timeout");
  }

  fail(error: unknown): void {
    if (this.settle()) this.#handlers.connectFailed(this.connection, causeOf(error));
  }

  /** The socket exists, its connection does not yet. */
  adopt(socket: { terminate(): void }): void {
    if (this.#settled) socket.terminate();
    else this.#socket = socket;
  }

  /** False: the owner has heard, or wants to hear nothing. */
  settle(): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    this.#timers.release(this);
    return true;
  }
}

/** What a system call said, in the form in which Bun reports it. */
class ConnectError extends Error {
  readonly code: string;

  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const EINPROGRESS = 115;
/** Numbers of Linux, as far as they differ for us. */
const CODES: Readonly<Record<number, string>> = {
  23: "ENFILE",
  24: "EMFILE",
  99: "EADDRNOTAVAIL",
  101: "ENETUNREACH",
  111: "ECONNREFUSED",
  113: "EHOSTUNREACH",
};

/** The descriptor of a socket that is connecting; undefined: Bun has to do it. */
function beginConnect({ hostname, port }: ConnectTarget): number | ConnectError | undefined {
  const c = libc();
  const address = c === undefined ? undefined : encodeSocketAddress(hostname, port);
  if (c === undefined || address === undefined) return undefined;
  const fd = c.socket(address[0]!, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd === -1) return systemError();
  if (isLoopback(address)) setPlainCongestionControl(fd);
  if (c.connect(fd, address, address.length) === 0) return fd;
  const error = systemError();
  if (error === undefined) return fd;
  c.close(fd);
  return error;
}

/** Undefined: the connect is under way. */
function systemError(): ConnectError | undefined {
  const number = errno();
  return number === EINPROGRESS ? undefined : new ConnectError(CODES[number] ?? `errno ${number}`);
}

type Pending<C> = C | Attempt<C>;
type NativeHandlers<C> = ReturnType<typeof addressHandlers<C>>;
type NativeWhere<C> =
  | { readonly fd: number; readonly socket: NativeHandlers<C> }
  | { readonly hostname: string; readonly port: number; readonly socket: NativeHandlers<C> };

/** `data`, which happens for each message, goes directly to the owner: it never comes first. */
function addressHandlers<C>(handlers: ConnectHandlers<C>) {
  const { open, drain, close } = handlers;
  return {
    ...bunHandlers(handlers),
    open(socket: TcpSocket<Pending<C>>): void {
      if (socket.data instanceof Attempt) socket.data.adopt(socket);
    },
    drain(socket: TcpSocket<Pending<C>>): void {
      const attempt = socket.data;
      if (!(attempt instanceof Attempt)) return drain(socket as TcpSocket<C>);
      if (!attempt.settle()) return;
      socket.data = attempt.connection;
      open(socket as TcpSocket<C>);
    },
    connectError(socket: { data: Pending<C> }, error: Error): void {
      if (socket.data instanceof Attempt) socket.data.fail(error);
    },
    close(socket: TcpSocket<Pending<C>>, error?: Error): void {
      if (socket.data instanceof Attempt) socket.data.fail(error);
      else close(socket as TcpSocket<C>, error);
    },
  };
}

function nameHandlers<C>(handlers: ConnectHandlers<C>): NativeHandlers<C> {
  return {
    ...addressHandlers(handlers),
    open(socket) {
      const attempt = socket.data;
      if (!(attempt instanceof Attempt)) return;
      if (!attempt.settle()) return socket.terminate();
      socket.data = attempt.connection;
      handlers.open(socket as TcpSocket<C>);
    },
  };
}

/** Bun's types know no `fd`, and not that `socket.data` changes its class. */
const bunConnect = Bun.connect as unknown as <C>(
  options: NativeWhere<C> & { readonly data: Attempt<C>; readonly allowHalfOpen: true },
) => Promise<unknown>;

function causeOf(error: unknown): ConnectCause {
  const code = error instanceof Error && "code" in error ? error.code : "";
  switch (code) {
    case "ECONNREFUSED":
      return "refused";
    case "ETIMEDOUT":
      return "timeout";
    case "ENOTFOUND":
    case "EAI_AGAIN":
    case "EAI_NONAME":
      return "name-not-found";
    case "ENETUNREACH":
    case "EHOSTUNREACH":
    case "EADDRNOTAVAIL":
      return "unreachable";
    case "ECONNRESET":
      return "reset";
    case "EMFILE":
    case "ENFILE":
      return "no-descriptors";
    default:
      return "failed";
  }
}
