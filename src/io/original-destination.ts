/**
 * Where a connection redirected by iptables or nftables wanted to go: SO_ORIGINAL_DST, for IPv4 and
 * IPv6. Half a microsecond a call.
 */
import { libc } from "./libc.ts";
import { decodeSocketAddress, SOCKADDR_BYTES_MAX, type SocketAddress } from "./socket-address.ts";

const SOL_IP = 0;
const SOL_IPV6 = 41;
/** linux/netfilter_ipv4.h; IP6T_SO_ORIGINAL_DST has the same number. */
const SO_ORIGINAL_DST = 80;

const scratch = new Uint8Array(SOCKADDR_BYTES_MAX);
const size = new Int32Array(1);

/** Undefined when the connection was not redirected, or the system cannot say. */
export function originalDestination(fd: number): SocketAddress | undefined {
  return ask(fd, SOL_IP) ?? ask(fd, SOL_IPV6);
}

function ask(fd: number, level: number): SocketAddress | undefined {
  size[0] = scratch.length;
  return libc()?.getsockopt(fd, level, SO_ORIGINAL_DST, scratch, size) === 0
    ? decodeSocketAddress(scratch)
    : undefined;
}
