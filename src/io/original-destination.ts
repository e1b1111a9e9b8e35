/**
 * Where a captured connection wanted to go.
 *
 *   redirected (iptables, nftables)   the kernel translated the address, and tells it on request:
 *                                     SO_ORIGINAL_DST, half a microsecond a call
 *   TPROXY                            nothing was translated: it is the socket's local address
 *
 * With connection tracking on, the kernel answers for connections that nobody redirected too, with
 * the address at which they arrived; those were meant for us.
 */
import { libc } from "./libc.ts";
import type { TcpSocket } from "./socket.ts";
import { decodeSocketAddress, SOCKADDR_BYTES_MAX, type SocketAddress } from "./socket-address.ts";

const SOL_IP = 0;
const SOL_IPV6 = 41;
/** linux/netfilter_ipv4.h; IP6T_SO_ORIGINAL_DST has the same number. */
const SO_ORIGINAL_DST = 80;

const scratch = new Uint8Array(SOCKADDR_BYTES_MAX);
const size = new Int32Array(1);

/** Addresses of a connection that a listener on `listenerPort` accepted. */
export type AcceptedSocket = Pick<TcpSocket<unknown>, "fd" | "localAddress" | "localPort">;

/** Undefined: to the listener itself, or the system cannot say. IPv4 is written as IPv4 always. */
export function originalDestination(
  socket: AcceptedSocket,
  listenerPort: number,
): SocketAddress | undefined {
  const address = plainAddress(socket.localAddress);
  const port = socket.localPort;
  if (port !== listenerPort) return { address, port };
  const told = ask(socket.fd, SOL_IP) ?? ask(socket.fd, SOL_IPV6);
  if (told === undefined || (told.port === port && told.address === address)) return undefined;
  return told;
}

function ask(fd: number, level: number): SocketAddress | undefined {
  size[0] = scratch.length;
  return libc()?.getsockopt(fd, level, SO_ORIGINAL_DST, scratch, size) === 0
    ? decodeSocketAddress(scratch)
    : undefined;
}

/** "::ffff:10.0.0.1" is 10.0.0.1, at a socket for both families. */
function plainAddress(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
}
