/**
 * Outgoing TCP connections with a time limit and a way to cancel; Bun.connect has neither. A
 * connect that was given up is left to dangle, and closed should it arrive late.
 */
import { type Failure, Failures } from "../core/failure.ts";
import type { SocketHandlers, TcpSocket } from "./socket.ts";
import { bunHandlers } from "./tcp-listener.ts";
import { Timer, type TimerWheel } from "./timer-wheel.ts";

export type ConnectCause =
  | "refused"
  | "timeout"
  | "name-not-found"
  | "unreachable"
  | "reset"
  | "no-descriptors"
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

/** A connect under way; its deadline is the time limit. */
export interface ConnectAttempt {
  /** Neither `open` nor `connectFailed` will be called. No effect once one of them was. */
  cancel(): void;
}

/** Made once for each kind of upstream connection. */
export class TcpConnector<C> {
  readonly #handlers: ConnectHandlers<C>;
  readonly #native: NativeHandlers<C>;
  readonly #timers: TimerWheel;

  constructor(handlers: ConnectHandlers<C>, timers: TimerWheel) {
    this.#handlers = handlers;
    this.#native = nativeHandlers(handlers);
    this.#timers = timers;
  }

  /** Never calls back before it has returned. */
  connect(target: ConnectTarget, connection: C, timeoutMs: number): ConnectAttempt {
    const attempt = new Attempt(this.#handlers, connection, this.#timers);
    this.#timers.arm(attempt, timeoutMs);
    const { hostname, port } = target;
    const options = {
      hostname,
      port,
      data: attempt,
      allowHalfOpen: true as const,
      socket: this.#native,
    };
    // The outcome is told by `open` and `connectError`; the promise says it a second time.
    bunConnect(options).catch((error) => attempt.fail(error));
    return attempt;
  }
}

/** The failure that a cause is to an exchange waiting for the connection. */
export function failureOf(cause: ConnectCause): Failure {
  return cause === "timeout" ? Failures.connectTimeout : Failures.connectFailure;
}

/** Stands in for the connection as `socket.data` until the socket opens. */
class Attempt<C> extends Timer implements ConnectAttempt {
  readonly connection: C;
  readonly #handlers: ConnectHandlers<C>;
  readonly #timers: TimerWheel;
  #settled = false;

  constructor(handlers: ConnectHandlers<C>, connection: C, timers: TimerWheel) {
    super();
    this.#handlers = handlers;
    this.connection = connection;
    this.#timers = timers;
  }

  cancel(): void {
    this.settle();
  }

  override expire(): void {
    if (this.settle()) this.#handlers.connectFailed(this.connection, "timeout");
  }

  fail(error: unknown): void {
    if (this.settle()) this.#handlers.connectFailed(this.connection, causeOf(error));
  }

  /** False: the owner has heard, or wants to hear nothing. */
  settle(): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    this.#timers.release(this);
    return true;
  }
}

type NativeHandlers<C> = ReturnType<typeof nativeHandlers<C>>;

function nativeHandlers<C>(handlers: ConnectHandlers<C>) {
  const { open, close } = handlers;
  return {
    // What happens per message goes directly to the owner; it cannot come before `open`.
    ...bunHandlers(handlers),
    open(socket: TcpSocket<C | Attempt<C>>): void {
      const attempt = socket.data;
      if (!(attempt instanceof Attempt)) return;
      if (!attempt.settle()) return socket.terminate();
      socket.data = attempt.connection;
      open(socket as TcpSocket<C>);
    },
    connectError(socket: { data: C | Attempt<C> }, error: Error): void {
      if (socket.data instanceof Attempt) socket.data.fail(error);
    },
    close(socket: TcpSocket<C | Attempt<C>>, error?: Error): void {
      if (socket.data instanceof Attempt) socket.data.fail(error);
      else close(socket as TcpSocket<C>, error);
    },
  };
}

/** Bun's type cannot say that `socket.data` changes its class in `open`. */
const bunConnect = Bun.connect as unknown as <C>(options: {
  readonly hostname: string;
  readonly port: number;
  readonly data: Attempt<C>;
  readonly allowHalfOpen: true;
  readonly socket: NativeHandlers<C>;
}) => Promise<unknown>;

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
