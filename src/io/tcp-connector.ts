/**
 * Outgoing connections, TCP or TLS, with a time limit and a way to cancel; Bun.connect has neither.
 *
 * To an address: the socket is made here, told to connect, and given to Bun, which calls `open` at
 * once and `drain` when the connection stands; until then `terminate` ends the attempt and frees
 * the descriptor. To a name, or without a C library: Bun connects by itself, an attempt that was
 * given up is left to dangle, and its socket closed should it arrive late. TLS begins on the socket
 * that TCP gave, within the same limit, and who the server is gets looked at before `open`.
 */
import { type Failure, Failures } from "../core/failure.ts";
import { bindForeignSource, type ForeignSource } from "./foreign-source.ts";
import { errno, libc } from "./libc.ts";
import { isExpected } from "./peer-identity.ts";
import type { SocketHandlers, TcpSocket } from "./socket.ts";
import { encodeSocketAddress, isLoopback } from "./socket-address.ts";
import { setPlainCongestionControl } from "./socket-options.ts";
import { bunHandlers } from "./tcp-listener.ts";
import type { TimerWheel } from "./timer-wheel.ts";
import { readTlsFacts } from "./tls-facts.ts";
import { codeOf, tlsDetailOf, tlsFaultOf } from "./tls-fault.ts";
import {
  connectUpgrade,
  Handshake,
  type TlsHandlers,
  type TlsSocket,
  tlsHandlers,
} from "./tls-handshake.ts";
import type { ClientTls } from "./tls-settings.ts";

export type ConnectCause =
  | "refused"
  | "timeout"
  | "name-not-found"
  | "unreachable"
  | "reset"
  | "no-descriptors"
  /** There is a connection, but its peer does not speak what it has to. */
  | "protocol"
  /** The handshake came to nothing: no TLS there, no common version, an alert. */
  | "tls-failed"
  /** The server's certificate leads to none of our roots, or is not in force. */
  | "tls-untrusted"
  /** A good certificate, of somebody else. */
  | "tls-wrong-identity"
  | "failed";

export interface ConnectTarget {
  /** An address, or a name that the system resolver knows. */
  readonly hostname: string;
  readonly port: number;
  /** Without it the connection is plaintext. */
  readonly tls?: ClientTls | undefined;
  /** To be called from; undefined: an address that the system chooses. */
  readonly from?: ForeignSource | undefined;
}

/** `open` is called with `socket.data` being the connection given to `connect`. */
export interface ConnectHandlers<C> extends SocketHandlers<C> {
  /** Instead of `open`; nothing else follows; never after cancel. `detail` is for the log. */
  connectFailed(connection: C, cause: ConnectCause, detail: string): void;
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
  readonly #overTls: TlsHandlers;
  readonly #timers: TimerWheel;

  constructor(handlers: ConnectHandlers<C>, timers: TimerWheel) {
    this.#handlers = handlers;
    this.#toAddress = addressHandlers(handlers);
    this.#toName = nameHandlers(handlers);
    this.#overTls = tlsHandlers(handlers);
    this.#timers = timers;
  }

  /** Never calls back before it has returned. */
  connect(target: ConnectTarget, connection: C, timeoutMs: number): ConnectAttempt {
    const attempt = new Attempt(this.#handlers, connection, this.#timers);
    if (target.tls !== undefined) attempt.secure(target.tls, this.#overTls);
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
  switch (cause) {
    case "timeout":
      return Failures.connectTimeout;
    case "tls-failed":
    case "tls-untrusted":
    case "tls-wrong-identity":
      return Failures.upstreamTls;
    default:
      return Failures.connectFailure;
  }
}

/** Stands in for the connection as `socket.data` until the connection stands. */
class Attempt<C> extends Handshake implements ConnectAttempt {
  readonly connection: C;
  readonly #handlers: ConnectHandlers<C>;
  readonly #timers: TimerWheel;
  #socket: { terminate(): void } | undefined;
  #settled = false;
  #tls: ClientTls | undefined = undefined;
  #tlsHandlers: TlsHandlers | undefined = undefined;

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
    this.#end("timeout", "");
  }

  fail(error: unknown): void {
    const detail = error instanceof Error ? error.message : "";
    if (this.settle()) this.#handlers.connectFailed(this.connection, causeOf(error), detail);
  }

  secure(tls: ClientTls, handlers: TlsHandlers): void {
    this.#tls = tls;
    this.#tlsHandlers = handlers;
  }

  /** TCP stands. */
  connected(socket: TcpSocket<unknown>): void {
    if (this.#tls !== undefined) return this.#upgrade(socket, this.#tls);
    if (!this.settle()) return socket.terminate();
    socket.data = this.connection;
    this.#handlers.open(socket as TcpSocket<C>);
  }

  #upgrade(socket: TcpSocket<unknown>, { native }: ClientTls): void {
    if (this.#settled) return socket.terminate();
    this.#socket = socket;
    if (native === undefined) return this.#end("tls-untrusted", "there are no roots to trust");
    try {
      const handlers = this.#tlsHandlers!;
      this.#socket = connectUpgrade(socket, { handshake: this, native, handlers });
    } catch (error) {
      this.#end("tls-failed", error instanceof Error ? error.message : String(error));
    }
  }

  override handshakeFailed(error: Error | undefined): void {
    this.#end("tls-failed", `${tlsFaultOf(error)}: ${tlsDetailOf(error)}`);
  }

  override handshaken(socket: TlsSocket<unknown>, error: Error | undefined): void {
    if (this.#settled) return;
    this.#socket = socket;
    const { expected, serverName } = this.#tls!;
    // Bun compares the name as well, with its own idea of it, once the chain is good.
    const code = codeOf(error);
    const verdict = code === "ERR_TLS_CERT_ALTNAME_INVALID" ? "" : code;
    const facts = readTlsFacts(socket, serverName, verdict);
    const { peer } = facts;
    if (expected !== "anybody") {
      // Before our certificate goes out, where it is TLS 1.3.
      if (peer === undefined || !peer.verified)
        return this.#end("tls-untrusted", peer?.verdict ?? "no certificate");
      if (!isExpected(peer.names, expected)) return this.#end("tls-wrong-identity", peer.subject);
    }
    this.settle();
    socket.data = this.connection;
    this.#handlers.open(socket as TcpSocket<C>, facts);
  }

  override closed(error: Error | undefined): void {
    const cause = error === undefined ? "tls-failed" : causeOf(error);
    this.#end(cause, "closed by the server in the handshake");
  }

  #end(cause: ConnectCause, detail: string): void {
    if (!this.settle()) return;
    this.#socket?.terminate();
    this.#handlers.connectFailed(this.connection, cause, detail);
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
function beginConnect({ hostname, port, from }: ConnectTarget): number | ConnectError | undefined {
  const c = libc();
  const address = c === undefined ? undefined : encodeSocketAddress(hostname, port);
  if (c === undefined || address === undefined) return undefined;
  const fd = c.socket(address[0]!, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd === -1) return systemError();
  if (isLoopback(address)) setPlainCongestionControl(fd);
  if (from !== undefined && !bindForeignSource(fd, from)) {
    c.close(fd);
    return new ConnectError("EPERM");
  }
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
  const { drain, close } = handlers;
  return {
    ...bunHandlers(handlers),
    open(socket: TcpSocket<Pending<C>>): void {
      if (socket.data instanceof Attempt) socket.data.adopt(socket);
    },
    drain(socket: TcpSocket<Pending<C>>): void {
      if (socket.data instanceof Attempt) socket.data.connected(socket);
      else drain(socket as TcpSocket<C>);
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
      if (socket.data instanceof Attempt) socket.data.connected(socket);
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
