/** What the engine does for the connections that it accepted. */
import type { Failure } from "../../core/failure.ts";
import type { TcpSocket } from "../../io/socket.ts";
import type { SocketAddress } from "../../io/socket-address.ts";
import type { TlsFacts } from "../../io/tls-facts.ts";
import type { ConnectionNames } from "../../telemetry/connection-names.ts";
import type { ListenerFacts } from "../exchange/downstream-side.ts";
import type { Environment } from "../exchange/environment.ts";
import type { ForwardedExchange } from "../exchange/forwarded-exchange.ts";
import type { EdgePeer } from "../gateway/edge-peer.ts";

/** A connection of any codec, as the engine and the handlers of its socket know it. */
export interface AcceptedConnection {
  /** At a gateway's edge: who called, from outside. */
  readonly edge?: EdgePeer | undefined;
  /** Who called, where the socket does not tell: a load balancer is in between. */
  readonly source?: SocketAddress | undefined;
  /** A sidecar's, where TLS ended here: who its peer is. */
  readonly tls?: TlsFacts | undefined;
  /** Of who calls, where a sidecar said so. */
  readonly claim?: string | undefined;
  /** Exchanges under way. */
  readonly exchanges: number;
  /** Bytes that wait for the peer to read. */
  readonly waiting: number;
  /** Where the client wanted to go, if the kernel led it here. */
  readonly captured: SocketAddress | undefined;
  /** The proxy ends: no request is expected after the grace. */
  drain(): void;
  /** Takes no further request than those that are there: its peer's time is over. */
  retire?(): void;
  /** The time for that is over: whoever waits for an answer is told, and nothing follows. */
  stop(): void;
  /** At once. */
  abort(): void;

  data(bytes: Uint8Array, from: number, to: number): void;
  drained(): void;
  ended(): void;
  closed(reset: boolean): void;
  /** Whether what was received is still to be used, or part of the request under way. */
  holds(bytes: Uint8Array): boolean;
}

/** Who sent what was refused, for the log. */
export interface Peer {
  readonly names: ConnectionNames;
}

export interface DownstreamOwner {
  readonly env: Environment;
  readonly facts: ListenerFacts;
  takeExchange(): ForwardedExchange;
  giveBack(exchange: ForwardedExchange): void;
  /** Takes over a socket that turned out to speak HTTP/2; `former` is forgotten. */
  beginHttp2(former: AcceptedConnection, socket: TcpSocket<unknown>): AcceptedConnection;
  /** A connection inside of `outer`; `claim`: who opened it, in its own words. */
  acceptInner(
    socket: TcpSocket<AcceptedConnection>,
    claim: string,
    outer: Pick<AcceptedConnection, "source" | "tls">,
  ): void;
  connectionClosed(connection: AcceptedConnection): void;
  /** A request that was refused before it had an exchange. */
  refused(peer: Peer, failure: Failure, detail: string): void;
}
