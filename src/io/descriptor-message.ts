/**
 * Messages over a unix socket that carry file descriptors: sendmsg and recvmsg with SCM_RIGHTS. The
 * receiver gets descriptors of its own for the same open sockets.
 */
import { assert } from "../core/assert.ts";
import { addressOf, libc } from "./libc.ts";

const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x4000_0000;
const CMSG_HEADER_BYTES = 16;
/** The kernel's limit (SCM_MAX_FD). */
const DESCRIPTORS_MAX = 253;
const DATA_BYTES_MAX = 16_384;

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const PATH_BYTES_MAX = 107;

/** Connects without waiting; −1: nobody listens there. */
export function connectUnix(path: string): number {
  const name = Buffer.from(path);
  if (name.length > PATH_BYTES_MAX) return -1;
  const fd = libc()?.socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) ?? -1;
  if (fd === -1) return -1;
  const address = new Uint8Array(2 + PATH_BYTES_MAX + 1);
  address[0] = AF_UNIX;
  address.set(name, 2);
  if (libc()?.connect(fd, address, 2 + name.length + 1) === 0) return fd;
  libc()?.close(fd);
  return -1;
}

/** Sends all of a short text, with descriptors that stay the caller's; false: it did not go out. */
export function sendMessage(fd: number, text: string, descriptors: readonly number[]): boolean {
  assert(descriptors.length <= DESCRIPTORS_MAX, "one message carries all descriptors");
  const data = Buffer.from(text);
  const { length } = descriptors;
  const control = new Uint8Array(length === 0 ? 0 : align(CMSG_HEADER_BYTES + 4 * length));
  if (length > 0) {
    const view = new DataView(control.buffer);
    view.setBigUint64(0, BigInt(CMSG_HEADER_BYTES + 4 * length), true);
    view.setInt32(8, SOL_SOCKET, true);
    view.setInt32(12, SCM_RIGHTS, true);
    descriptors.forEach((descriptor, i) => {
      view.setInt32(CMSG_HEADER_BYTES + 4 * i, descriptor, true);
    });
  }
  const message = new MessageHeader(data, control);
  return libc()?.sendmsg(fd, message.bytes, MSG_DONTWAIT | MSG_NOSIGNAL) === data.length;
}

export interface Received {
  /** "" with `ended`: the other side has closed. */
  readonly text: string;
  readonly descriptors: readonly number[];
  readonly ended: boolean;
}

/** Undefined: nothing there yet. */
export function receiveMessage(fd: number): Received | undefined {
  const data = Buffer.alloc(DATA_BYTES_MAX);
  const control = new Uint8Array(align(CMSG_HEADER_BYTES + 4 * DESCRIPTORS_MAX));
  const message = new MessageHeader(data, control);
  const n = Number(libc()?.recvmsg(fd, message.bytes, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) ?? -1);
  if (n < 0) return undefined;
  const descriptors = decodeDescriptors(control.subarray(0, message.controlLength));
  return { text: data.toString("utf8", 0, n), descriptors, ended: n === 0 };
}

function decodeDescriptors(control: Uint8Array): number[] {
  const view = new DataView(control.buffer, control.byteOffset, control.byteLength);
  const descriptors: number[] = [];
  for (let at = 0; at + CMSG_HEADER_BYTES <= control.length; ) {
    const length = Number(view.getBigUint64(at, true));
    if (length < CMSG_HEADER_BYTES) break;
    const isRights =
      view.getInt32(at + 8, true) === SOL_SOCKET && view.getInt32(at + 12, true) === SCM_RIGHTS;
    for (let i = at + CMSG_HEADER_BYTES; isRights && i + 4 <= at + length; i += 4)
      descriptors.push(view.getInt32(i, true));
    at += align(length);
  }
  return descriptors;
}

/** struct msghdr with one iovec; keeps alive what it points to. */
class MessageHeader {
  readonly bytes: Uint8Array;
  readonly #fields = new BigUint64Array(7);
  readonly #pointedTo: readonly Uint8Array[];

  constructor(data: Uint8Array, control: Uint8Array) {
    const vector = new BigUint64Array([addressOf(data), BigInt(data.length)]);
    const vectorBytes = new Uint8Array(vector.buffer);
    this.#pointedTo = [data, control, vectorBytes];
    this.#fields[2] = addressOf(vectorBytes);
    this.#fields[3] = 1n;
    if (control.length > 0) {
      this.#fields[4] = addressOf(control);
      this.#fields[5] = BigInt(control.length);
    }
    this.bytes = new Uint8Array(this.#fields.buffer);
  }

  get controlLength(): number {
    return Math.min(Number(this.#fields[5]), this.#pointedTo[1]!.length);
  }
}

function align(n: number): number {
  return (n + 7) & ~7;
}
