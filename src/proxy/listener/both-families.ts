/**
 * The kernel leads a connection to the proxy in the connection's own family: an IPv6 call of the
 * application arrives at ::1, one of another host at the IPv6 address that it came in by. So what
 * is bound for all IPv4, or for loopback, is bound for IPv6 as well, by a socket of its own (one
 * for both would write IPv4 addresses as "::ffff:10.0.0.1").
 */
import type { HostPort } from "../flags.ts";

/** Undefined: an address that somebody chose, or one for both families already. */
export function besideInIpv6({ hostname, port }: HostPort): HostPort | undefined {
  if (hostname === "127.0.0.1") return { hostname: "::1", port };
  if (hostname === "0.0.0.0") return { hostname: "::", port };
  return undefined;
}

/** Names of its sockets, for a successor and in lists. */
export const IPV6_NAMES = { outbound: "outbound6", inbound: "inbound6" } as const;

/** Linux without IPv6: nobody can call there. */
const WITHOUT_IPV6 = new Set(["EADDRNOTAVAIL", "EAFNOSUPPORT"]);

export function isWithoutIpv6(thrown: unknown): boolean {
  return thrown instanceof Error && "code" in thrown && WITHOUT_IPV6.has(String(thrown.code));
}
