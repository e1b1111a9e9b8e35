/**
 * Names of workloads: "spiffe://cluster.local/ns/default/sa/reviews" (SPIFFE-ID 2, with the path
 * that Istio gave it). Compared as text everywhere, so there is one way to write each: no empty
 * segment, no percent sign, no dot segments, no capital in the trust domain, nothing behind.
 */
export interface SpiffeId {
  /** "cluster.local" */
  readonly trustDomain: string;
  readonly namespace: string;
  /** Of the service account. */
  readonly account: string;
}

/** SPIFFE-ID 2.3: at most 2,048 bytes, of which 255 are the trust domain's. */
const TEXT_MAX = 2_048;
const ID = /^spiffe:\/\/([^/]+)\/ns\/([^/]+)\/sa\/([^/]+)$/;
const TRUST_DOMAIN = /^[a-z0-9._-]{1,255}$/;
const SEGMENT = /^(?!\.{1,2}$)[A-Za-z0-9._-]+$/;

/** Undefined: it is the id of no workload. */
export function parseSpiffeId(text: string): SpiffeId | undefined {
  if (text.length > TEXT_MAX) return undefined;
  const [, trustDomain = "", namespace = "", account = ""] = ID.exec(text) ?? [];
  const isId = isTrustDomain(trustDomain) && isIdSegment(namespace) && isIdSegment(account);
  return isId ? { trustDomain, namespace, account } : undefined;
}

/** The opposite of parseSpiffeId, for parts that isTrustDomain and isIdSegment take. */
export function formatSpiffeId({ trustDomain, namespace, account }: SpiffeId): string {
  return `spiffe://${trustDomain}/ns/${namespace}/sa/${account}`;
}

export function isTrustDomain(text: string): boolean {
  return TRUST_DOMAIN.test(text);
}

/** Whether a namespace or an account can be named so. */
export function isIdSegment(text: string): boolean {
  return SEGMENT.test(text);
}

/**
 * As people write it, in the form that ids have: Google's accounts were trust domains once, and "@"
 * ends the user of a URI.
 */
export function trustDomainOf(text: string): string {
  return text.replaceAll("@", ".").toLowerCase();
}

/** The ids, and those of the same path in each of the domains; what is no id stays alone. */
export function inTrustDomains(ids: Iterable<string>, domains: readonly string[]): Set<string> {
  const all = new Set(ids);
  for (const text of [...all]) {
    const id = parseSpiffeId(text);
    if (id === undefined) continue;
    for (const trustDomain of domains) all.add(formatSpiffeId({ ...id, trustDomain }));
  }
  return all;
}
