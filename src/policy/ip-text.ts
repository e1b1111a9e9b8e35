/** IP addresses as text and as octets in network order: 4 of IPv4, 16 of IPv6. */
import { isIPv4, isIPv6 } from "../http/ip-literal.ts";

const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/** ::ffff:a.b.c.d gives four octets: it is the same address. Undefined: not an address. */
export function parseIp(text: string): Uint8Array | undefined {
  if (isIPv4(text)) return ipv4Octets(text);
  return isIPv6(text) ? shortest(ipv6Octets(text)) : undefined;
}

/** The shorter form of an IPv4 address that is written as an IPv6 one. */
export function shortest(octets: Uint8Array): Uint8Array {
  const mapped = octets.length === 16 && MAPPED.every((octet, i) => octets[i] === octet);
  return mapped ? octets.subarray(12) : octets;
}

/** As RFC 5952 writes it; octets that are no address, in hexadecimal after a "?". */
export function formatIp(octets: Uint8Array): string {
  const short = shortest(octets);
  if (short.length === 4) return short.join(".");
  if (short.length === 0) return "";
  return short.length === 16 ? formatIpv6(short) : `?${short.toHex()}`;
}

function ipv4Octets(text: string): Uint8Array {
  return Uint8Array.from(text.split("."), Number);
}

function ipv6Octets(text: string): Uint8Array {
  const octets = new Uint8Array(16);
  const dotted = text.lastIndexOf(":") + 1;
  let groups = text;
  if (text.includes(".")) {
    const [a, b, c, d] = ipv4Octets(text.slice(dotted));
    const [high, low] = [(a! << 8) | b!, (c! << 8) | d!].map((word) => word.toString(16));
    groups = `${text.slice(0, dotted)}${high}:${low}`;
  }
  const [before = "", after] = groups.split("::");
  const head = before === "" ? [] : before.split(":");
  const tail = after === undefined || after === "" ? [] : after.split(":");
  const put = (words: readonly string[], from: number): void =>
    words.forEach((word, i) => {
      const value = Number.parseInt(word, 16);
      octets[from + 2 * i] = value >> 8;
      octets[from + 2 * i + 1] = value & 0xff;
    });
  put(head, 0);
  put(tail, 16 - 2 * tail.length);
  return octets;
}

/** The longest run of two or more zero groups, the first of several, becomes "::". */
function formatIpv6(octets: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, i) => (octets[2 * i]! << 8) | octets[2 * i + 1]!);
  let best = { from: -1, length: 1 };
  for (let from = 0; from < 8; from++) {
    let to = from;
    while (to < 8 && groups[to] === 0) to++;
    if (to - from > best.length) best = { from, length: to - from };
  }
  const hex = groups.map((group) => group.toString(16));
  if (best.from === -1) return hex.join(":");
  return `${hex.slice(0, best.from).join(":")}::${hex.slice(best.from + best.length).join(":")}`;
}
