/**
 * An element of x-forwarded-client-cert, as Envoy writes it: Hash=…;Subject="…";URI=…;DNS=…
 * Whoever issues certificates decides what is in them, so every value that could end an element or
 * a line early is quoted, and what no header can carry is left out.
 */
import type { PeerCertificate } from "../../io/tls-facts.ts";

export function clientCertElement({ sha256, subject, names }: PeerCertificate): Uint8Array {
  const pairs = [
    `Hash=${sha256}`,
    `Subject="${visible(subject).replace(/["\\]/g, "\\$&")}"`,
    ...names.uris.map((uri) => `URI=${pairValue(uri)}`),
    ...names.dns.map((name) => `DNS=${pairValue(name)}`),
  ];
  return new TextEncoder().encode(pairs.join(";"));
}

function pairValue(text: string): string {
  const value = visible(text);
  return /[,;="\\]/.test(value) ? `"${value.replace(/["\\]/g, "\\$&")}"` : value;
}

function visible(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "");
}
