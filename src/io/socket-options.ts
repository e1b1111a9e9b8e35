/**
 * Socket options that Bun cannot set. Each returns whether the system did it: without them the
 * proxy works, only less well, so nobody fails because of a false.
 */
import { libc } from "./libc.ts";

// Numbers of Linux: asm-generic/socket.h, netinet/tcp.h.
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const SO_MARK = 36;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const TCP_CONGESTION = 13;
const SOL_IP = 0;
const IP_TRANSPARENT = 19;
const IP_BIND_ADDRESS_NO_PORT = 24;
const SOL_IPV6 = 41;
const IPV6_TRANSPARENT = 75;
const RENO = new TextEncoder().encode("reno");

/** Bun listens with 512, too few for a burst; the kernel caps `backlog` at net.core.somaxconn. */
export function setBacklog(listenerFd: number, backlog: number): boolean {
  return libc()?.listen(listenerFd, backlog) === 0;
}

/**
 * Lets TPROXY hand over connections to any address, or a socket be bound to any; needs
 * CAP_NET_ADMIN. A socket for both families has both options.
 */
export function setTransparent(fd: number): boolean {
  const v4 = setInt(fd, SOL_IP, IP_TRANSPARENT, 1);
  return setInt(fd, SOL_IPV6, IPV6_TRANSPARENT, 1) || v4;
}

/** Of its packets, for the kernel's rules; needs CAP_NET_ADMIN. */
export function setMark(fd: number, mark: number): boolean {
  return setInt(fd, SOL_SOCKET, SO_MARK, mark);
}

/** bind() of port 0 leaves the port to connect(), which knows which ones are free for that peer. */
export function setBindsAddressOnly(fd: number): boolean {
  return setInt(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1);
}

/**
 * For a connection within this machine: nothing there congests, and the plainest algorithm costs
 * least for each segment (a model of the path, as BBR keeps one, is work for nothing). Every kernel
 * has Reno, and lets everybody use it.
 */
export function setPlainCongestionControl(fd: number): boolean {
  return libc()?.setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, RENO, RENO.length) === 0;
}

/** Whether both ends are on this machine, by the addresses of one of its sockets. */
export function isWithinMachine(localAddress: string, remoteAddress: string): boolean {
  return (
    localAddress === remoteAddress ||
    localAddress.startsWith("127.") ||
    localAddress === "::1" ||
    localAddress.startsWith("::ffff:127.")
  );
}

/** Bun sets it on all its sockets. */
export function isNoDelay(fd: number): boolean {
  const value = new Int32Array(1);
  return libc()?.getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, value, sizeOf(value)) === 0
    ? value[0] !== 0
    : false;
}

/** The user at the other end of a unix socket; undefined: unknown. */
export function peerUser(unixSocketFd: number): number | undefined {
  const credentials = new Int32Array(3); // pid, uid, gid
  const size = sizeOf(credentials);
  return libc()?.getsockopt(unixSocketFd, SOL_SOCKET, SO_PEERCRED, credentials, size) === 0
    ? credentials[1]
    : undefined;
}

function setInt(fd: number, level: number, option: number, value: number): boolean {
  return libc()?.setsockopt(fd, level, option, Int32Array.of(value), 4) === 0;
}

function sizeOf(value: Int32Array): Int32Array {
  return Int32Array.of(value.byteLength);
}
