/**
 * The subjectAltName of a certificate, as node:crypto prints it, taken apart:
 * `DNS:a.b, URI:spiffe://x/y, IP Address:10.0.0.1`.
 *
 * Whoever issues certificates decides what is in them, so a name may try to look like two. A name
 * with a comma, a quote or a control character is printed as a JSON string (CVE-2021-44532); such a
 * name is no host and no SPIFFE id, and is left out here.
 */
import { encodeSocketAddress } from "./socket-address.ts";

export interface AlternativeNames {
  /** In lower case; may begin with "*.". */
  readonly dns: readonly string[];
  readonly uris: readonly string[];
  /** With those that are left out: who must have one URI has one here. */
  readonly uriCount: number;
  /** As encodeSocketAddress has them, in hexadecimal with port 0: equal text, equal address. */
  readonly addresses: readonly string[];
}

/** `text` is undefined where the certificate has none. */
export function readAlternativeNames(text: string | undefined): AlternativeNames {
  const dns: string[] = [];
  const uris: string[] = [];
  const addresses: string[] = [];
  let uriCount = 0;
  for (const entry of text === undefined || text === "" ? [] : text.split(", ")) {
    const colon = entry.indexOf(":");
    const value = entry.slice(colon + 1);
    const kind = entry.slice(0, colon);
    if (kind === "URI") uriCount++;
    if (colon === -1 || value.startsWith('"')) continue;
    if (kind === "DNS") dns.push(value.toLowerCase());
    else if (kind === "URI") uris.push(value);
    else if (kind === "IP Address") addresses.push(addressText(value));
  }
  return { dns, uris, uriCount, addresses: addresses.filter((address) => address !== "") };
}

/** In one form for each address; "": no address. */
export function addressText(address: string): string {
  const encoded = encodeSocketAddress(address, 0);
  return encoded === undefined ? "" : Buffer.from(encoded).toString("hex");
}
