/**
 * All relays of one engine: how they begin, what they hold, and how they end with it. They are left
 * alone while the engine drains, for nothing in them says when an exchange is over.
 *
 *   begin(socket, …) ─▶ … ─▶ drain(ms): resolves when all are gone, or in time ─▶ close()
 */
import type { Clock } from "../../core/clock.ts";
import { type Failure, Failures } from "../../core/failure.ts";
import type { SocketHandlers, TcpSocket } from "../../io/socket.ts";
import type { Counter, Gauge, MetricScope } from "../../telemetry/metrics.ts";
import type { RelayAccess } from "../access/relay-gate.ts";
import { connectionFacts } from "../policy/connection-facts.ts";
import type { RelayPolicy } from "../policy/relay-policy.ts";
import { type RelayOwner, TcpRelay } from "./relay.ts";
import {
  defaultRelayLimits,
  type RelayEnvironment,
  type RelayLimits,
  type RelayTarget,
} from "./relay-environment.ts";
import { writeRefusal } from "./relay-record.ts";
import { RelayWatch } from "./relay-watch.ts";

export interface RelaysParts {
  readonly env: RelayEnvironment;
  readonly clock: Clock;
  readonly metrics: MetricScope;
  readonly limits?: Partial<RelayLimits> | undefined;
}

/** How often policy is told that connections go on. */
const CONTINUES_MS = 10_000;
/** Nobody is in the middle of a sentence. */
const QUIET_MS = 5_000;
const NO_BYTES = new Uint8Array(0);

export class TcpRelays implements RelayOwner {
  readonly env: RelayEnvironment;
  readonly limits: RelayLimits;
  /** Undefined: everybody may open connections. */
  access: RelayAccess | undefined = undefined;
  readonly #clock: Clock;
  readonly #relays = new Set<TcpRelay>();
  readonly #total: Counter;
  readonly #unrouted: Counter;
  readonly #active: Gauge;
  #policy: RelayPolicy | undefined = undefined;
  #watched = 0;
  #cancelTelling: (() => void) | undefined = undefined;
  #onEmpty: (() => void) | undefined = undefined;

  constructor({ env, clock, metrics, limits }: RelaysParts) {
    this.env = env;
    this.limits = { ...defaultRelayLimits, ...limits };
    this.#clock = clock;
    this.#total = metrics.counter("envoy_tcp_downstream_cx_total", "Connections relayed.");
    this.#unrouted = metrics.counter(
      "envoy_tcp_downstream_cx_no_route",
      "Connections refused because nobody may be there.",
    );
    this.#active = metrics.gauge("envoy_tcp_downstream_cx_active", "Connections being relayed.");
  }

  get size(): number {
    return this.#relays.size;
  }

  /** Received, and not yet taken by either side of any. */
  get bytesWaiting(): number {
    let bytes = 0;
    for (const relay of this.#relays) bytes += relay.bytesWaiting;
    return bytes;
  }

  /**
   * Takes an accepted connection over: from now on the events of its socket are the relay's, which
   * becomes `socket.data`. `early`: what has been received already, the relay's to keep.
   */
  begin(socket: TcpSocket<TcpRelay>, target: RelayTarget, early: Uint8Array = NO_BYTES): TcpRelay {
    const relay = new TcpRelay(this, socket, target);
    socket.data = relay;
    this.#relays.add(relay);
    this.#total.increment();
    this.#active.increment();
    relay.begin(early);
    return relay;
  }

  /** Ends a connection that is not to be passed on, so that the client can see it; with a line. */
  refuse(socket: TcpSocket<TcpRelay>, call: Omit<RelayTarget, "route">, failure: Failure): void {
    this.#total.increment();
    if (failure === Failures.noRoute) this.#unrouted.increment();
    writeRefusal(socket, call, { failure, env: this.env });
    socket.terminate();
  }

  get policy(): RelayPolicy | undefined {
    return this.#policy;
  }

  /** Undefined: no rule concerns connections. */
  set policy(policy: RelayPolicy | undefined) {
    this.#policy = policy;
    this.#cancelTelling?.();
    this.#cancelTelling = undefined;
    if (policy?.reports === true) this.#tellLater();
  }

  denies(relay: TcpRelay): string | undefined {
    const { access, env } = this;
    if (access === undefined) return undefined;
    const { target } = relay;
    return access.refuse({
      connection: connectionFacts(relay.socket!, target),
      destination: target.destination,
      port: portOf(relay),
      serverName: target.serverName,
      wallMs: env.wallMs,
    });
  }

  watch(relay: TcpRelay): RelayWatch | undefined {
    const policy = this.#policy;
    if (policy === undefined || !(policy.checks || policy.reports)) return undefined;
    return new RelayWatch(relay, this, ++this.#watched);
  }

  relayClosed(relay: TcpRelay): void {
    if (!this.#relays.delete(relay)) return;
    this.#active.decrement();
    if (this.#relays.size === 0) this.#onEmpty?.();
  }

  /** Of callers whose certificate expired before that time of day: those that are quiet end. */
  retireExpired(beforeMs: number): void {
    this.env.tick();
    for (const relay of [...this.#relays]) {
      const peer = relay.target.tls?.peer;
      if (peer !== undefined && peer.notAfterMs < beforeMs) relay.endIfQuiet(QUIET_MS);
    }
  }

  /** Of callers in plaintext, at ports where they are let in no more. */
  retirePlaintext(isStrict: (port: number) => boolean): void {
    this.env.tick();
    for (const relay of [...this.#relays])
      if (relay.target.tls === undefined && isStrict(portOf(relay))) relay.stop();
  }

  /** Resolves when all have ended by themselves, or after `deadlineMs`. */
  drain(deadlineMs: number): Promise<void> {
    if (this.#relays.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.#clock.after(deadlineMs, resolve);
      this.#onEmpty = () => {
        cancel();
        resolve();
      };
    });
  }

  /** Ends all: those in which nothing is under way by FIN, the others by reset. */
  close(): void {
    this.#cancelTelling?.();
    this.#cancelTelling = undefined;
    this.env.tick();
    for (const relay of [...this.#relays]) relay.stop();
  }

  #tellLater(): void {
    this.#cancelTelling = this.#clock.after(CONTINUES_MS, () => {
      this.env.tick();
      for (const relay of [...this.#relays]) relay.continued();
      this.#tellLater();
    });
  }
}

/** Handlers of a listener all of whose connections are relayed; `accept` begins them. */
export function relayHandlers(accept: SocketHandlers<TcpRelay>["open"]): SocketHandlers<TcpRelay> {
  return {
    open: accept,
    data(socket, bytes) {
      socket.data.data(bytes);
    },
    drain(socket) {
      socket.data.drained();
    },
    end(socket) {
      socket.data.ended();
    },
    close(socket, error) {
      // A connection that was refused at the door has no data.
      (socket.data as TcpRelay | undefined)?.closed(error !== undefined && error !== null);
    },
  };
}

/** Of the application. */
function portOf({ target, cluster }: TcpRelay): number {
  return target.destination?.port ?? cluster.settings.port;
}
