/**
 * Whether a server is the one that was meant (RFC 6125 6, RFC 9525): Bun's sockets do not ask. The
 * subject's common name has not counted for twenty years and does not count here.
 */
import { type AlternativeNames, addressText } from "./alternative-name.ts";
import { isNamePattern, wildcardOf } from "./host-name.ts";

/** Any one of what is listed is enough; with nothing listed, nobody is expected. */
export interface ExpectedIdentity {
  /** DNS name or address, as it was to be reached; "": goes by `uris` alone. */
  readonly host: string;
  /** Further ones. */
  readonly otherHosts?: readonly string[];
  /** "spiffe://…", compared whole. */
  readonly uris: ReadonlySet<string>;
  /** A certificate with further URIs is nobody's: as SPIFFE has it (X.509-SVID 2). */
  readonly soleUri?: boolean;
}

export function isExpected(names: AlternativeNames, expected: ExpectedIdentity): boolean {
  if (expected.soleUri === true && names.uriCount !== 1) return false;
  if (names.uris.some((uri) => expected.uris.has(uri))) return true;
  if (expected.host !== "" && isForHost(names, expected.host)) return true;
  return expected.otherHosts?.some((host) => isForHost(names, host)) === true;
}

/** An address is found among addresses only: a DNS name that looks like one does not count. */
export function isForHost(names: AlternativeNames, host: string): boolean {
  const address = addressText(host);
  if (address !== "") return names.addresses.includes(address);
  const name = host.toLowerCase();
  const wildcard = wildcardOf(name);
  return names.dns.some((dns) => dns === name || (dns === wildcard && isNamePattern(dns)));
}
