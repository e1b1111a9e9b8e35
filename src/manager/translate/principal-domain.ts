/**
 * Principals that a rule names, "cluster.local/ns/default/sa/reviews", in every trust domain whose
 * identities count as the mesh's own. A rule that says "cluster.local" means the mesh's domain,
 * whatever that is called.
 */

/** What the domain of a mesh is called where nobody calls it anything else. */
const anyOwnDomain = "cluster.local";

/** `domains`: the mesh's own first, then its aliases. */
export function inDomains(principal: string, domains: readonly string[]): readonly string[] {
  const slash = principal.indexOf("/");
  const written = slash === -1 ? "" : principal.slice(0, slash);
  // "*" and "*/ns/default/sa/x" are of any domain already.
  if (written === "" || written === "*" || domains.length === 0) return [principal];
  const path = principal.slice(slash);
  if (written.startsWith("*")) {
    const isMeant = (domain: string): boolean => domain.endsWith(written.slice(1));
    if (!domains.some(isMeant)) return [principal];
    return [principal, ...domains.filter((one) => !isMeant(one)).map((one) => `${one}${path}`)];
  }
  const isOwn = written === anyOwnDomain || domains.includes(written);
  return isOwn ? domains.map((domain) => `${domain}${path}`) : [principal];
}
