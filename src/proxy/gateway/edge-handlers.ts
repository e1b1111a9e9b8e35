/** What happens to a socket that a gateway accepted, before it is a connection of the engine. */
import type { SocketHandlers, TcpSocket } from "../../io/socket.ts";
import type { TimerWheel } from "../../io/timer-wheel.ts";
import { TlsAcceptor } from "../../io/tls-acceptor.ts";
import type { TlsFault } from "../../io/tls-fault.ts";
import type { ServerTls } from "../../io/tls-settings.ts";
import { downstreamHandlers } from "../listener/downstream.ts";
import type { AcceptedConnection } from "../listener/downstream-owner.ts";
import { behindProxyHeader, type HeaderRefused } from "../listener/proxy-header-gate.ts";

export interface EdgeTls {
  readonly settings: ServerTls;
  /** A handshake came to nothing. */
  readonly onRefused: (socket: TcpSocket<unknown>, fault: TlsFault, detail: string) => void;
}

export type EdgeAccept = SocketHandlers<AcceptedConnection>["open"];

export interface EdgeHandlerParts {
  readonly accept: EdgeAccept;
  /** Undefined: plaintext. */
  readonly tls: EdgeTls | undefined;
  /** Each connection begins with a header of the PROXY protocol; undefined: none does. */
  readonly headerRefused: HeaderRefused | undefined;
  readonly timers: TimerWheel;
}

export function edgeHandlers(parts: EdgeHandlerParts): SocketHandlers<never> {
  const { headerRefused: refused, timers } = parts;
  const handlers = clientHandlers(parts);
  return behindProxyHeader(handlers, { timers, refused });
}

/** From the first byte that is the client's own. */
function clientHandlers({ accept, tls, timers }: EdgeHandlerParts): SocketHandlers<never> {
  const handlers = downstreamHandlers(accept);
  if (tls === undefined) return handlers as SocketHandlers<never>;
  const { settings, onRefused: refused } = tls;
  const acceptor = new TlsAcceptor({ tls: settings, timers }, { ...handlers, refused });
  return acceptor.socketHandlers as SocketHandlers<never>;
}
