/** Whom the members of the mesh are to trust: the roots of every authority that is not gone. */
import { X509Certificate } from "node:crypto";
import type { AuthorityRow } from "./authority-table.ts";

const BLOCK = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** PEM, each once, in the order of `rows`; without those that expired. */
export function trustedRoots(rows: readonly AuthorityRow[], nowMs: number): readonly string[] {
  const found = new Map<string, string>();
  for (const { roots } of rows)
    for (const root of certificatesOf(roots))
      if (root.validToDate.getTime() > nowMs) found.set(root.fingerprint256, root.toString());
  return [...found.values()];
}

export function certificatesOf(pem: string): readonly X509Certificate[] {
  return (pem.match(BLOCK) ?? []).map((block) => new X509Certificate(block));
}
