/**
 * Principals in rules, where a mesh has further names: what is said of an identity in one of its
 * trust domains is said of the same one in all of them.
 */
import { parseTextPattern } from "./text-pattern.ts";

const SPIFFE = "spiffe://";

/** `domains`: that of the mesh, and its aliases. */
export function withAliases(
  principals: readonly string[],
  domains: readonly string[],
): readonly string[] {
  return [...new Set(principals.flatMap((written) => [...aliasesOf(written, domains)]))];
}

function* aliasesOf(written: string, domains: readonly string[]): Iterable<string> {
  const principal = written.startsWith(SPIFFE) ? written.slice(SPIFFE.length) : written;
  yield principal;
  const slash = principal.indexOf("/");
  if (slash === -1) return;
  const domain = principal.slice(0, slash);
  if (domain === "*" || !domains.some((one) => isNamed(one, domain))) return;
  for (const one of domains) if (!isNamed(one, domain)) yield `${one}${principal.slice(slash)}`;
}

/** "*-td" names each domain that ends so. */
function isNamed(domain: string, written: string): boolean {
  const pattern = parseTextPattern(written);
  switch (pattern.kind) {
    case "present":
      return true;
    case "exact":
      return domain === pattern.text;
    case "prefix":
      return domain.startsWith(pattern.text);
    case "suffix":
      return domain.endsWith(pattern.text);
  }
}
