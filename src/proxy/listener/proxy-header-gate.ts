/**
 * A listener behind a load balancer that speaks the PROXY protocol: each connection has to begin
 * with a header, which is taken off before anything else looks at it, TLS included.
 *
 *   accepted ─▶ awaiting ─header─▶ the owner's `open`, with the client's address; its `data`
 *                  └─ none, malformed, too slow, cut short, too many ─▶ refused, and closed
 *
 * Required and never guessed: who may leave the header out may as well write one.
 */
import type { SocketHandlers, TcpSocket } from "../../io/socket.ts";
import type { SocketAddress } from "../../io/socket-address.ts";
import { Timer, type TimerWheel } from "../../io/timer-wheel.ts";
import type { MetricScope } from "../../telemetry/metrics.ts";
import { decodeProxyHeader, mayBeProxyHeader, type ProxyHeader } from "../tcp/proxy-protocol.ts";

export type HeaderRefused = (fault: ProxyHeaderFault) => void;

/** Words that do not change, for counters. */
export type ProxyHeaderFault =
  /** The first bytes are those of no header. */
  | "missing"
  /** Too long is malformed too. */
  | "malformed"
  | "timeout"
  /** It ended within the header. */
  | "closed-by-peer"
  | "too-many";

export interface HeaderGateParts {
  readonly timers: TimerWheel;
  /** Undefined: no header is expected. */
  readonly refused: HeaderRefused | undefined;
  /** Whether the next connection has to have one; always unless told. */
  readonly expected?: () => boolean;
  /** From accept to the whole header; 5,000 unless told. */
  readonly timeoutMs?: number;
  /** Connections whose header is not there yet; 1,000 unless told. */
  readonly awaitingMax?: number;
}

const TIMEOUT_MS = 5_000;
const AWAITING_MAX = 1_000;
/** Enough for a header without certificates in it; grows up to the codec's bound. */
const HEADER_BYTES = 256;

/** The handlers for such a listener; `owner` is what they would be without. */
export function behindProxyHeader<C>(
  owner: SocketHandlers<C>,
  parts: HeaderGateParts,
): SocketHandlers<C> {
  if (parts.refused === undefined) return owner;
  const gate = new HeaderGate(owner, parts);
  return {
    open(socket) {
      if (parts.expected?.() === false) owner.open(socket);
      else gate.accepted(socket);
    },
    data(socket, bytes) {
      if (socket.data instanceof Awaiting) socket.data.received(bytes);
      else owner.data(socket, bytes);
    },
    drain(socket) {
      if (!(socket.data instanceof Awaiting)) owner.drain(socket);
    },
    end(socket) {
      if (socket.data instanceof Awaiting) socket.data.ended();
      else owner.end(socket);
    },
    close(socket, error) {
      if (socket.data instanceof Awaiting) socket.data.closed();
      else owner.close(socket, error);
    },
  };
}

/** Counts by why; `listener` as in other metrics of it. */
export function countHeaderFaults(metrics: MetricScope, listener: string): HeaderRefused {
  const help = "Connections without a good header of the PROXY protocol.";
  return (reason) =>
    metrics.counter("mesh_proxy_header_refused_total", help, { listener, reason }).increment();
}

class HeaderGate<C> {
  readonly owner: SocketHandlers<C>;
  readonly parts: HeaderGateParts;
  awaiting = 0;

  constructor(owner: SocketHandlers<C>, parts: HeaderGateParts) {
    this.owner = owner;
    this.parts = parts;
  }

  accepted(socket: TcpSocket<C>): void {
    const { awaitingMax = AWAITING_MAX } = this.parts;
    const awaiting = new Awaiting(this, socket);
    (socket as TcpSocket<unknown>).data = awaiting;
    if (this.awaiting > awaitingMax) awaiting.refuse("too-many");
  }
}

class Awaiting<C> extends Timer {
  readonly #gate: HeaderGate<C>;
  /** Undefined: it is decided. */
  #socket: TcpSocket<C> | undefined;
  #bytes: Uint8Array = new Uint8Array(HEADER_BYTES);
  #length = 0;

  constructor(gate: HeaderGate<C>, socket: TcpSocket<C>) {
    super();
    this.#gate = gate;
    this.#socket = socket;
    gate.awaiting++;
    gate.parts.timers.arm(this, gate.parts.timeoutMs ?? TIMEOUT_MS);
  }

  received(bytes: Uint8Array): void {
    if (this.#socket === undefined) return;
    const all = this.#length === 0 ? bytes : this.#joined(bytes);
    const result = decodeProxyHeader(all);
    if (result.at === "header") this.#open(result.header, all.subarray(result.length));
    else if (result.at === "bad") this.refuse(mayBeProxyHeader(all) ? "malformed" : "missing");
    else if (this.#length === 0) this.#joined(bytes);
  }

  ended(): void {
    // A connection that says nothing and goes is somebody's health check.
    if (this.#length > 0) this.refuse("closed-by-peer");
    else this.#decided()?.end();
  }

  closed(): void {
    if (this.#decided() === undefined || this.#length === 0) return;
    this.#gate.parts.refused?.("closed-by-peer");
  }

  override expire(): void {
    this.refuse("timeout");
  }

  refuse(fault: ProxyHeaderFault): void {
    const socket = this.#decided();
    if (socket === undefined) return;
    this.#gate.parts.refused?.(fault);
    socket.terminate();
  }

  #open(header: ProxyHeader, rest: Uint8Array): void {
    const socket = this.#decided()!;
    const { owner } = this.#gate;
    (socket as TcpSocket<C | undefined>).data = undefined;
    owner.open(socket, undefined, sourceOf(header));
    if (rest.length > 0 && socket.data !== undefined && socket.fd !== -1) owner.data(socket, rest);
  }

  /** All that was received, in one piece; twice as much room each time that it is too little. */
  #joined(bytes: Uint8Array): Uint8Array {
    const length = this.#length + bytes.length;
    if (length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(length, 2 * this.#bytes.length));
      larger.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = larger;
    }
    this.#bytes.set(bytes, this.#length);
    this.#length = length;
    return this.#bytes.subarray(0, length);
  }

  /** Undefined: it was before. */
  #decided(): TcpSocket<C> | undefined {
    const socket = this.#socket;
    if (socket === undefined) return undefined;
    this.#socket = undefined;
    this.#gate.awaiting--;
    this.#gate.parts.timers.release(this);
    return socket;
  }
}

/** Undefined: the balancer speaks for itself, or does not know; the socket's address counts. */
function sourceOf({ family, source }: ProxyHeader): SocketAddress | undefined {
  return family === "none" || family === "unix" ? undefined : source;
}
