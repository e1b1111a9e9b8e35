/** Host names with wildcards: which may mean a host of another. Case is the caller's matter. */

/** Some host is meant by both: "*.com" and "*.example.com", "*.com" and "a.com". */
export function hostsOverlap(a: string, b: string): boolean {
  return isHostWithin(a, b) || isHostWithin(b, a);
}

/** Every host that `narrow` means is meant by `wide`. */
export function isHostWithin(narrow: string, wide: string): boolean {
  if (!wide.startsWith("*")) return narrow === wide;
  const suffix = wide.slice(1);
  return narrow.startsWith("*") ? narrow.slice(1).endsWith(suffix) : narrow.endsWith(suffix);
}
