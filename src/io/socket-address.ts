/** A sockaddr as the kernel has it, to and fro: sockaddr_in (family 2) and sockaddr_in6 (10). */
import { isIPv4, isIPv6 } from "../http/ip-literal.ts";
import { libc } from "./libc.ts";

export interface SocketAddress {
  readonly address: string;
  readonly port: number;
}

export const SOCKADDR_BYTES_MAX = 28;

const AF_INET = 2;
const AF_INET6 = 10;

/** Undefined: no address but a name, or an IPv6 address with a zone. */
export function encodeSocketAddress(address: string, port: number): Uint8Array | undefined {
  const isV6 = isIPv6(address);
  if (!isV6 && !isIPv4(address)) return undefined;
  const bytes = new Uint8Array(isV6 ? SOCKADDR_BYTES_MAX : 16);
  bytes[0] = isV6 ? AF_INET6 : AF_INET;
  bytes[2] = port >> 8;
  bytes[3] = port & 0xff;
  if (!isV6) bytes.set(address.split(".").map(Number), 4);
  else if (address.includes("%")) return undefined;
  else bytes.set(ipv6Bytes(address), 8);
  return bytes;
}

/** 127.0.0.0/8 or ::1. `encoded` is as encodeSocketAddress makes it. */
export function isLoopback(encoded: Uint8Array): boolean {
  if (encoded[0] === AF_INET) return encoded[4] === 127;
  return encoded.subarray(8, 24).every((byte, i) => byte === (i === 15 ? 1 : 0));
}

/** `address` is a valid one. */
function ipv6Bytes(address: string): number[] {
  const [before = "", after] = address.split("::");
  const left = groupBytes(before);
  if (after === undefined) return left;
  const right = groupBytes(after);
  return [...left, ...Array.from({ length: 16 - left.length - right.length }, () => 0), ...right];
}

function groupBytes(text: string): number[] {
  if (text === "") return [];
  return text.split(":").flatMap((group) => {
    if (group.includes(".")) return group.split(".").map(Number);
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}

/** Undefined for another family. IPv6 is written as RFC 5952 says; v4-mapped addresses as IPv4. */
export function decodeSocketAddress(bytes: Uint8Array): SocketAddress | undefined {
  const family = bytes[0]! | (bytes[1]! << 8);
  const port = (bytes[2]! << 8) | bytes[3]!;
  if (family === AF_INET) return { address: bytes.subarray(4, 8).join("."), port };
  if (family === AF_INET6) return { address: formatIpv6(bytes.subarray(8, 24)), port };
  return undefined;
}

/** What a bound socket is bound to. */
export function localAddressOf(fd: number): SocketAddress | undefined {
  const bytes = new Uint8Array(SOCKADDR_BYTES_MAX);
  const size = Int32Array.of(bytes.length);
  return libc()?.getsockname(fd, bytes, size) === 0 ? decodeSocketAddress(bytes) : undefined;
}

export function formatIpv6(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, i) => (bytes[2 * i]! << 8) | bytes[2 * i + 1]!);
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff)
    return bytes.subarray(12, 16).join(".");
  const run = longestZeroRun(groups);
  const hex = (part: readonly number[]): string => part.map((g) => g.toString(16)).join(":");
  if (run.length < 2) return hex(groups);
  return `${hex(groups.slice(0, run.start))}::${hex(groups.slice(run.start + run.length))}`;
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < groups.length; start++) {
    let length = 0;
    while (groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  return best;
}
