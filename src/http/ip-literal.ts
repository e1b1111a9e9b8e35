/** Whether octets are an IP address as text (RFC 3986 3.2.2, without brackets and zones). */
import { Ascii, hexValue, Octet, octetClass } from "./octet.ts";

const DOT = 0x2e;
const GROUPS = 8;

export function isIpLiteral(bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (bytes[at] === Ascii.colon) return isIpv6(bytes, from, to);
  return isIpv4(bytes, from, to);
}

/** As isIpLiteral, for text. The runtime has the same in node:net, with 3 MB around it. */
export function isIPv4(text: string): boolean {
  return isIpv4(octetsOf(text), 0, text.length);
}

/** Without a zone. */
export function isIPv6(text: string): boolean {
  return text.includes(":") && isIpv6(octetsOf(text), 0, text.length);
}

export function isIP(text: string): boolean {
  return isIPv4(text) || isIPv6(text);
}

/** One octet a character; what is no ASCII is no address. */
function octetsOf(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => Math.min(character.charCodeAt(0), 0xff));
}

/** Four decimal octets, none with a zero in front: "010" is eight to some. */
function isIpv4(bytes: Uint8Array, from: number, to: number): boolean {
  let parts = 0;
  let start = from;
  for (let at = from; at <= to; at++) {
    if (at < to && bytes[at] !== DOT) {
      if ((octetClass[bytes[at]!]! & Octet.digit) === 0) return false;
      continue;
    }
    const length = at - start;
    if (length < 1 || length > 3 || (length > 1 && bytes[start] === Ascii.zero)) return false;
    let value = 0;
    for (let i = start; i < at; i++) value = value * 10 + bytes[i]! - Ascii.zero;
    if (value > 255 || ++parts > 4) return false;
    start = at + 1;
  }
  return parts === 4;
}

/** Eight groups, or fewer with one "::"; the last two may be an IPv4 address. */
function isIpv6(bytes: Uint8Array, from: number, to: number): boolean {
  let groups = 0;
  let gap = false;
  let at = from;
  if (bytes[at] === Ascii.colon && bytes[at + 1] !== Ascii.colon) return false;
  while (at < to) {
    if (bytes[at] === Ascii.colon) {
      if (at + 1 < to && bytes[at + 1] === Ascii.colon) {
        if (gap) return false;
        gap = true;
        at += 2;
        if (at < to && bytes[at] === Ascii.colon) return false;
        continue;
      }
      // One colon stands between groups.
      if (++at === to || groups === 0) return false;
    }
    const start = at;
    while (at < to && hexValue[bytes[at]!]! < 16) at++;
    if (at < to && bytes[at] === DOT) {
      groups += 2;
      return isIpv4(bytes, start, to) && isWhole(groups, gap);
    }
    if (at === start || at - start > 4 || (at < to && bytes[at] !== Ascii.colon)) return false;
    groups++;
  }
  return isWhole(groups, gap);
}

function isWhole(groups: number, gap: boolean): boolean {
  return gap ? groups < GROUPS : groups === GROUPS;
}
