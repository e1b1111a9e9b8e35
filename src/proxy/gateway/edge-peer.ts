/** What a gateway knows of one connection, prepared once for all its requests. */
import type { TcpSocket } from "../../io/socket.ts";
import type { SocketAddress } from "../../io/socket-address.ts";
import type { TlsFacts } from "../../io/tls-facts.ts";
import type { EdgeConnection } from "../filter/edge-fields.ts";
import { clientCertElement } from "./client-cert-element.ts";

export interface EdgePeer extends EdgeConnection {
  /** Undefined: it is plaintext. */
  readonly tls: TlsFacts | undefined;
  /** Its address, without port. */
  readonly text: string;
}

/** `source`: what a load balancer in front says of it. */
export function edgePeer(
  socket: TcpSocket<unknown>,
  tls: TlsFacts | undefined,
  source: SocketAddress | undefined,
): EdgePeer {
  const peer = tls?.peer;
  const text = plainAddress(source?.address ?? socket.remoteAddress);
  return {
    text,
    address: new TextEncoder().encode(text),
    secure: tls !== undefined,
    certificate: peer?.verified === true ? clientCertElement(peer) : undefined,
    tls,
  };
}

/** A socket for both families names peers of IPv4 so: "::ffff:203.0.113.9". */
function plainAddress(address: string): string {
  return /^::ffff:\d+\.\d+\.\d+\.\d+$/i.test(address) ? address.slice(7) : address;
}
