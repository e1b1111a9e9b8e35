/**
 * One connection of this machine, as the kernel knows it, by its two addresses (sock_diag(7),
 * linux/inet_diag.h): at once, where /proc/net/tcp walks through a table of all there may ever be,
 * which takes it tens of milliseconds.
 */
import { libc } from "./libc.ts";
import { encodeSocketAddress, type SocketAddress } from "./socket-address.ts";

/** One end of a connection. */
export interface SocketEntry {
  readonly uid: number;
  readonly inode: number;
}

const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
const NETLINK_SOCK_DIAG = 4;
const SOCK_DIAG_BY_FAMILY = 20;
const NLMSG_ERROR = 2;
const NLM_F_REQUEST = 1;
const MSG_DONTWAIT = 0x40;
const AF_INET = 2;
const AF_INET6 = 10;
const TCP = 6;
const ESTABLISHED = 1;

const ENOENT = 2;

/** A kernel without the module for TCP says "there is none" to everything. */
const experience = { hasFound: false };

const HEADER_BYTES = 16;
/** Of a request, before the addresses. */
const REQUEST_BYTES = 8;
/** Ports, addresses, device and cookie. */
const ID_BYTES = 48;
const ANSWER_BYTES = HEADER_BYTES + 4 + ID_BYTES + 20;

/** "unavailable": the kernel does not tell, or not in this way. Undefined: there is none. */
export function diagnoseSocket(
  local: SocketAddress,
  remote: SocketAddress,
): SocketEntry | "unavailable" | undefined {
  const request = encodeRequest(local, remote);
  const library = libc();
  if (request === undefined || library === undefined) return "unavailable";
  const socket = library.socket(AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_SOCK_DIAG);
  if (socket < 0) return "unavailable";
  try {
    if (Number(library.send(socket, request, request.length, 0)) !== request.length)
      return "unavailable";
    const answer = new Uint8Array(1_024);
    // The kernel has answered by the time it has taken the question.
    const length = Number(library.recv(socket, answer, answer.length, MSG_DONTWAIT));
    const found = decodeAnswer(answer.subarray(0, Math.max(0, length)), request);
    if (typeof found === "object") experience.hasFound = true;
    return found === undefined && !experience.hasFound ? "unavailable" : found;
  } finally {
    library.close(socket);
  }
}

/** Undefined: these are no two addresses of one family. */
export function encodeRequest(local: SocketAddress, remote: SocketAddress): Uint8Array | undefined {
  const [from, to] = [local, remote].map(({ address, port }) => encodeSocketAddress(address, port));
  if (from === undefined || to === undefined || from.length !== to.length) return undefined;
  const bytes = new Uint8Array(HEADER_BYTES + REQUEST_BYTES + ID_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setUint16(4, SOCK_DIAG_BY_FAMILY, true);
  view.setUint16(6, NLM_F_REQUEST, true);
  const isV6 = from.length > 16;
  bytes[HEADER_BYTES] = isV6 ? AF_INET6 : AF_INET;
  bytes[HEADER_BYTES + 1] = TCP;
  view.setUint32(HEADER_BYTES + 4, 1 << ESTABLISHED, true);
  const id = HEADER_BYTES + REQUEST_BYTES;
  bytes.set(from.subarray(2, 4), id);
  bytes.set(to.subarray(2, 4), id + 2);
  bytes.set(isV6 ? from.subarray(8, 24) : from.subarray(4, 8), id + 4);
  bytes.set(isV6 ? to.subarray(8, 24) : to.subarray(4, 8), id + 20);
  // No device; any cookie.
  bytes.fill(0xff, id + 40, id + 48);
  return bytes;
}

/** Without an established connection the kernel answers with who listens: that is none. */
export function decodeAnswer(
  bytes: Uint8Array,
  request: Uint8Array,
): SocketEntry | "unavailable" | undefined {
  if (bytes.length < HEADER_BYTES + 4) return "unavailable";
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const type = view.getUint16(4, true);
  if (type === NLMSG_ERROR)
    return view.getInt32(HEADER_BYTES, true) === -ENOENT ? undefined : "unavailable";
  if (type !== SOCK_DIAG_BY_FAMILY || bytes.length < ANSWER_BYTES) return "unavailable";
  const id = HEADER_BYTES + 4;
  const asked = HEADER_BYTES + REQUEST_BYTES;
  // Ports; then a connection of IPv4 through a socket for both has its addresses in another form.
  for (let i = 0; i < 4; i++) if (bytes[id + i] !== request[asked + i]) return undefined;
  if (bytes[HEADER_BYTES + 1] !== ESTABLISHED) return undefined;
  const uid = view.getUint32(id + ID_BYTES + 12, true);
  const inode = view.getUint32(id + ID_BYTES + 16, true);
  return inode === 0 ? undefined : { uid, inode };
}
