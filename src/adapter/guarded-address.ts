/**
 * Addresses that nobody is sent to by a URL in a rule: those of one link, by which machines of
 * clouds tell their secrets to whoever asks, the few others that are used so, and such as are no
 * host's at all.
 */
import { parseIpAddress, shortestIpAddress } from "../attribute/ip-address.ts";
import { IpPrefixSet, parseIpPrefix } from "./ip-prefix-set.ts";

const linkLocal = setOf(
  "169.254.0.0/16",
  "fe80::/10",
  // The same, as other transports write them: IPv4-compatible, NAT64, 6to4.
  ...["::169.254.0.0/112", "64:ff9b::169.254.0.0/112", "2002:a9fe::/32"],
  // AWS, Alibaba, Oracle, Azure.
  ...["fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16"],
);
const nobody = setOf("0.0.0.0/8", "::/128", "224.0.0.0/4", "255.255.255.255", "ff00::/8");

export interface AddressGuard {
  /** Addresses of one link, and of metadata. */
  readonly allowsLinkLocal: boolean;
}

/** Why nobody may be sent there; undefined: one may. */
export function guardedWhy(address: string, { allowsLinkLocal }: AddressGuard): string | undefined {
  const bytes = parseIpAddress(address.replace(/%.*$/, ""));
  if (bytes === undefined) return "is no address";
  const octets = shortestIpAddress(bytes);
  if (nobody.has(octets)) return "is no host's address";
  return linkLocal.has(octets) && !allowsLinkLocal ? "is an address of the link alone" : undefined;
}

function setOf(...texts: readonly string[]): IpPrefixSet {
  return new IpPrefixSet(texts.map((text) => parseIpPrefix(text)!));
}
