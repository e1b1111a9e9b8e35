/** IP addresses: text (RFC 4291 2.2, RFC 5952) and 4 or 16 bytes in network order. */
import { isIPv4, isIPv6 } from "../http/ip-literal.ts";

/** 16 bytes, an IPv4 address as ::ffff:a.b.c.d; undefined where the text is no address. */
export function parseIpAddress(text: string): Uint8Array | undefined {
  if (text.length > 45) return undefined;
  const bytes = new Uint8Array(16);
  if (isIPv4(text)) {
    bytes.fill(0xff, 10, 12);
    bytes.set(text.split(".").map(Number), 12);
    return bytes;
  }
  if (!isIPv6(text)) return undefined;
  const [before = "", after] = text.split("::");
  bytes.set(bytesOfGroups(before));
  if (after !== undefined) {
    const tail = bytesOfGroups(after);
    bytes.set(tail, 16 - tail.length);
  }
  return bytes;
}

function bytesOfGroups(text: string): number[] {
  const bytes: number[] = [];
  for (const group of text === "" ? [] : text.split(":")) {
    if (group.includes(".")) bytes.push(...group.split(".").map(Number));
    else bytes.push(Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff);
  }
  return bytes;
}

/** Dotted where it is an IPv4 address in either length; "?" and hex where it is no address. */
export function formatIpAddress(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.length !== 16) return bytes.length === 0 ? "<nil>" : `?${bytes.toHex()}`;
  if (isMapped(bytes)) return bytes.subarray(12).join(".");
  const groups = Array.from({ length: 8 }, (_, i) => (bytes[2 * i]! << 8) | bytes[2 * i + 1]!);
  const [start, length] = longestZeros(groups);
  const text = (from: number, to: number): string =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(":");
  return length < 2 ? text(0, 8) : `${text(0, start)}::${text(start + length, 8)}`;
}

function longestZeros(groups: readonly number[]): readonly [start: number, length: number] {
  let best: readonly [number, number] = [0, 0];
  for (let i = 0, run = 0; i < groups.length; i++) {
    run = groups[i] === 0 ? run + 1 : 0;
    if (run > best[1]) best = [i + 1 - run, run];
  }
  return best;
}

/** Whether 16 bytes are ::ffff:a.b.c.d. */
function isMapped(bytes: Uint8Array): boolean {
  for (let i = 0; i < 10; i++) if (bytes[i] !== 0) return false;
  return bytes[10] === 0xff && bytes[11] === 0xff;
}

/** Four octets of an IPv4 address in either length. */
export function shortestIpAddress(bytes: Uint8Array): Uint8Array {
  return bytes.length === 16 && isMapped(bytes) ? bytes.subarray(12) : bytes;
}

/** 4 bytes of an IPv4 address, mapped or not, 16 of another; undefined: the text is none. */
export function parseShortestIpAddress(text: string): Uint8Array | undefined {
  const bytes = parseIpAddress(text);
  return bytes && shortestIpAddress(bytes);
}

/** The same address; a.b.c.d and ::ffff:a.b.c.d are. */
export function ipAddressesEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) {
    if (a.length === 4 && b.length === 16) return isMapped(b) && endsWith(b, a);
    return a.length === 16 && b.length === 4 && isMapped(a) && endsWith(a, b);
  }
  return endsWith(a, b);
}

function endsWith(long: Uint8Array, short: Uint8Array): boolean {
  const offset = long.length - short.length;
  for (let i = 0; i < short.length; i++) if (long[offset + i] !== short[i]) return false;
  return true;
}
