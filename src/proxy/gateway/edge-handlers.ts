/** What happens to a socket that a gateway accepted, before it is a connection of the engine. */
import type { SocketHandlers, TcpSocket } from "../../io/socket.ts";
import type { TimerWheel } from "../../io/timer-wheel.ts";
import { type AcceptHandlers, TlsAcceptor } from "../../io/tls-acceptor.ts";
import type { TlsFault } from "../../io/tls-fault.ts";
import type { ServerTls } from "../../io/tls-settings.ts";
import { downstreamHandlers } from "../listener/downstream.ts";
import type { AcceptedConnection } from "../listener/downstream-owner.ts";
import { behindProxyHeader, type HeaderGateParts } from "../listener/proxy-header-gate.ts";

export interface EdgeTls {
  readonly settings: ServerTls;
  /** A handshake came to nothing. */
  readonly onRefused: (socket: TcpSocket<unknown>, fault: TlsFault, detail: string) => void;
  /** As TlsAcceptor's. */
  readonly pass?: AcceptHandlers<unknown>["pass"];
}

export type EdgeHeader = Pick<HeaderGateParts, "refused" | "expected">;

export type EdgeAccept = SocketHandlers<AcceptedConnection>["open"];

/** What a connection has to get through before it is one of the engine. */
export interface EdgeGuards {
  /** Absent: plaintext. */
  readonly tls?: EdgeTls | undefined;
  /** Of the PROXY protocol; absent: no connection begins with one. */
  readonly header?: EdgeHeader | undefined;
}

export interface EdgeHandlerParts extends EdgeGuards {
  readonly accept: EdgeAccept;
  readonly timers: TimerWheel;
}

export function edgeHandlers(parts: EdgeHandlerParts): SocketHandlers<never> {
  const { header, timers } = parts;
  const handlers = clientHandlers(parts);
  return header === undefined ? handlers : behindProxyHeader(handlers, { timers, ...header });
}

/** From the first byte that is the client's own. */
function clientHandlers({ accept, tls, timers }: EdgeHandlerParts): SocketHandlers<never> {
  const handlers = downstreamHandlers(accept);
  if (tls === undefined) return handlers as SocketHandlers<never>;
  const { settings, onRefused: refused, pass } = tls;
  const all = { ...handlers, refused, ...(pass !== undefined && { pass }) };
  const acceptor = new TlsAcceptor({ tls: settings, timers }, all);
  return acceptor.socketHandlers as SocketHandlers<never>;
}
