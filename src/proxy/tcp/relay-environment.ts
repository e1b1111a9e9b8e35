/**
 * What all relays of one engine share, and what each is told when it begins. The engine's
 * environment (exchange/environment.ts) is one; relays need no more of it than this.
 */
import type { Random } from "../../core/random.ts";
import type { SendPool } from "../../io/send-buffer.ts";
import type { SocketAddress } from "../../io/socket-address.ts";
import type { TimerWheel } from "../../io/timer-wheel.ts";
import type { TlsFacts } from "../../io/tls-facts.ts";
import type { AccessLog } from "../../telemetry/access-log.ts";
import type { Endpoint } from "../cluster/endpoint.ts";
import type { ListenerName } from "../listener/own-addresses.ts";
import type { PoolParts } from "../upstream/pool.ts";
import type { TcpRoute } from "./tcp-route.ts";

export interface RelayEnvironment {
  readonly random: Random;
  readonly timers: TimerWheel;
  readonly sendPool: SendPool;
  readonly pools: Pick<PoolParts, "connector" | "waiting" | "identity">;
  readonly accessLog: AccessLog | undefined;
  /** Of the event under way. */
  readonly nowMs: number;
  /** Since 1970. */
  readonly wallMs: number;
  /** Whether what came in by one listener would come in again. */
  readonly isOwnListener: (from: ListenerName, endpoint: Endpoint) => boolean;
  /** Reads the clock, once for each event. */
  tick(): void;
}

export interface RelayLimits {
  /** A connection that moves no byte in either direction, where its route says nothing. */
  readonly idleMs: number;
  /** After an upstream that went early: how long to read, so that the client gets the rest. */
  readonly lingerMs: number;
  readonly lingerBytesMax: number;
  /** Endpoints tried, one after another, for one connection. */
  readonly connectAttempts: number;
}

export const defaultRelayLimits: RelayLimits = {
  idleMs: 3_600_000,
  lingerMs: 1_000,
  lingerBytesMax: 256 * 1024,
  connectAttempts: 2,
};

/** Where one connection is to go. */
export interface RelayTarget {
  readonly from: ListenerName;
  readonly route: TcpRoute;
  /** Where the client wanted to go; undefined: it called a listener of ours by its address. */
  readonly destination: SocketAddress | undefined;
  /** Who it is, where the socket does not tell: a header of the PROXY protocol. */
  readonly source: SocketAddress | undefined;
  /** Of a ClientHello; "": there was none. */
  readonly serverName: string;
  /** TLS that ended here; undefined: none did. */
  readonly tls?: TlsFacts | undefined;
}
