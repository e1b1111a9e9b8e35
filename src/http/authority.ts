/**
 * Host and port of a target or of the Host field (RFC 3986 3.2, RFC 9110 7.2), without userinfo.
 */
import type { MessageHead } from "./message-head.ts";
import { Ascii, Octet, octetClass } from "./octet.ts";

/**
 * Reads [from, to) as uri-host [ ":" port ] into the head's authority. False where it is anything
 * else: userinfo, a path, an octet that no host has, a port above 65535. An empty host is valid
 * here, as in an empty Host field.
 */
export function readAuthority(
  bytes: Uint8Array,
  from: number,
  to: number,
  head: MessageHead,
): boolean {
  let at = from;
  if (at < to && bytes[at] === Ascii.bracketOpen) {
    at++;
    while (at < to && (octetClass[bytes[at]!]! & Octet.literal) !== 0) at++;
    if (at === to || bytes[at] !== Ascii.bracketClose || at < from + 2) return false;
    at++;
  } else {
    while (at < to && (octetClass[bytes[at]!]! & Octet.host) !== 0) at++;
  }
  head.authorityStart = from;
  head.authorityEnd = to;
  head.hostEnd = at;
  head.port = 0;
  if (at === to) return true;
  if (bytes[at] !== Ascii.colon) return false;
  let port = 0;
  while (++at < to) {
    if ((octetClass[bytes[at]!]! & Octet.digit) === 0) return false;
    port = port * 10 + bytes[at]! - Ascii.zero;
    if (port > 65535) return false;
  }
  head.port = port;
  return true;
}

/**
 * Whether [from, to) names the same host and port as the head's authority, which is that of an
 * absolute target: letters in any case, and a port left out is the scheme's.
 */
export function isSameAuthority(
  bytes: Uint8Array,
  from: number,
  to: number,
  head: MessageHead,
): boolean {
  const start = head.authorityStart;
  const { authorityEnd, hostEnd, port } = head;
  if (!readAuthority(bytes, from, to, head)) return false;
  const otherHostEnd = head.hostEnd;
  const standard = head.schemeIsHttps ? 443 : 80;
  const samePort = (head.port || standard) === (port || standard);
  head.authorityStart = start;
  head.authorityEnd = authorityEnd;
  head.hostEnd = hostEnd;
  head.port = port;
  if (!samePort || otherHostEnd - from !== hostEnd - start) return false;
  for (let i = 0; i < hostEnd - start; i++) {
    if (lower(bytes[start + i]!) !== lower(bytes[from + i]!)) return false;
  }
  return true;
}

function lower(octet: number): number {
  return octet >= 65 && octet <= 90 ? octet | 32 : octet;
}
