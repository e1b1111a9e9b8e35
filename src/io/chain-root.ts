/**
 * Whether somebody who believes in certain roots would believe a chain: its leaf was signed by one
 * of them, or by a certificate of the chain for which that is true (RFC 5280 6.1, as far as a
 * chain of our own authority needs it: times of roots are judged where they are published).
 */
import { X509Certificate } from "node:crypto";

const BLOCK = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/** Leaf first. What cannot be read leads nowhere. */
export function leadsToRoot(chainPem: string, rootPems: readonly string[]): boolean {
  const roots = rootPems.flatMap(read);
  const [leaf, ...above] = read(chainPem);
  let at = leaf;
  // Each step goes up the chain, so there are no more of them than it has certificates.
  while (at !== undefined) {
    const below = at;
    if (roots.some((root) => isBy(below, root))) return true;
    const next = above.findIndex((certificate) => isBy(below, certificate));
    if (next === -1) return false;
    [at] = above.splice(next, 1);
  }
  return false;
}

function isBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

function read(pem: string): readonly X509Certificate[] {
  return (pem.match(BLOCK) ?? []).flatMap((block) => {
    try {
      return [new X509Certificate(block)];
    } catch {
      return [];
    }
  });
}
