/**
 * Which addresses may be written: IP addresses, blocks of them, ports, "host:port", egress
 * destinations. Spec tables: manager 1.3, 1.8, 1.11.
 */
import { isIP, isIPv4 } from "node:net";
import {
  type Complaint,
  checkFqdn,
  checkWildcardDomain,
  type LetterCase,
} from "./validate-name.ts";

export function checkPort(port: number): Complaint {
  return Number.isInteger(port) && port >= 1 && port <= 65535
    ? undefined
    : "must be between 1 and 65535";
}

export function checkIpAddress(text: string): Complaint {
  return isIP(text) === 0 ? "is not an IP address" : undefined;
}

/** An address, or a block "10.0.0.0/8". */
export function checkSubnet(text: string): Complaint {
  const slash = text.indexOf("/");
  const address = slash === -1 ? text : text.slice(0, slash);
  const version = isIP(address);
  if (version === 0) return "is not an IP address or block of addresses";
  return slash === -1
    ? undefined
    : checkPrefixLength(text.slice(slash + 1), version === 4 ? 32 : 128);
}

/** As `checkSubnet`; IPv4 only, and no empty prefix where `shortest` is 1 (Istio 0.1). */
export function checkIpv4Subnet(text: string, shortest: 0 | 1): Complaint {
  const slash = text.indexOf("/");
  const address = slash === -1 ? text : text.slice(0, slash);
  if (!isIPv4(address)) return "is not an IPv4 address or block of addresses";
  if (slash === -1) return undefined;
  const length = text.slice(slash + 1);
  return (
    checkPrefixLength(length, 32) ?? (Number(length) < shortest ? "has an empty prefix" : undefined)
  );
}

function checkPrefixLength(text: string, longest: number): Complaint {
  return /^\d{1,3}$/.test(text) && Number(text) <= longest
    ? undefined
    : `has a prefix length that is not 0 to ${longest}`;
}

/** "host:port", "10.0.0.1:80", "[2001:db8::1]:80": both parts. */
export function checkProxyAddress(text: string, letters: LetterCase = "any"): Complaint {
  const bracketed = /^\[([^\]]*)\]:(.*)$/.exec(text);
  const plain = /^([^:]*):([^:]*)$/.exec(text);
  const parts = bracketed ?? plain;
  if (parts === null) return "must be host:port";
  const [, host = "", port = ""] = parts;
  if (!/^\d{1,5}$/.test(port) || checkPort(Number(port)) !== undefined)
    return `has a port "${port}" that is not 1 to 65535`;
  if (bracketed !== null)
    return isIP(host) === 6 ? undefined : `has no IPv6 address in "[${host}]"`;
  const complaint = checkFqdn(host, letters);
  return complaint === undefined ? undefined : `has a host "${host}" that ${complaint}`;
}

export function isCidr(text: string): boolean {
  return text.includes("/");
}

/** Where an egress rule leads: a domain with or without wildcard, an IPv4 address or block. */
export function checkEgressService(text: string): Complaint {
  return isCidr(text) ? checkIpv4Subnet(text, 0) : checkWildcardDomain(text);
}

/** A host of a gateway or virtual service: a wildcard domain, an address or a block. */
export function checkHost(text: string): Complaint {
  const domain = checkWildcardDomain(text);
  return domain === undefined || checkSubnet(text) === undefined ? undefined : domain;
}

/** "unix:///var/run/x.sock" or "unix://@abstract", without its scheme. */
export function checkUnixPath(path: string): Complaint {
  if (path === "") return "has no path";
  if (!path.startsWith("/") && !path.startsWith("@")) return "must have an absolute path";
  return path.endsWith("/") ? "names a directory, not a socket" : undefined;
}
