/**
 * Outgoing TCP connections with a time limit and a way to cancel; Bun.connect has neither. A
 * connect that was given up is left to dangle, and closed should it arrive late.
 */
import { type Failure, Failures } from "../core/failure.ts";
import type { SocketHandlers } from "./socket.ts";
import { Timer, type TimerWheel } from "./timer-wheel.ts";

export type ConnectCause =
  | "refused"
  | "timeout"
  | "name-not-found"
  | "unreachable"
  | "reset"
  | "no-descriptors";

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
export abstract class ConnectAttempt extends Timer {
  /** Neither `open` nor `connectFailed` will be called. No effect once one of them was. */
  abstract cancel(): void;
}

/** Made once for each kind of upstream connection. */
export class TcpConnector<C> {
  readonly #handlers: ConnectHandlers<C>;
  readonly #timers: TimerWheel;

  constructor(handlers: ConnectHandlers<C>, timers: TimerWheel) {
    this.#handlers = handlers;
    this.#timers = timers;
  }

  /** Never calls back before it has returned. */
  connect(_target: ConnectTarget, connection: C, _timeoutMs: number): ConnectAttempt {
    this.#handlers.connectFailed(connection, "refused");
    throw new Error(`not implemented yet: ${this.#timers.tickMs}`);
  }
}

/** The failure that a cause is to an exchange waiting for the connection. */
export function failureOf(cause: ConnectCause): Failure {
  return cause === "timeout" ? Failures.connectTimeout : Failures.connectFailure;
}
