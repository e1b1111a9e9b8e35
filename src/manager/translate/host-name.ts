/**
 * Names of services: from the short forms that people write to the full one that is unique, and
 * from the full one to every form under which a caller may ask for it.
 */

/** "reviews" and "reviews.prod" become full host names; what is full already stays. */
export function fullHostName(name: string, namespace: string, domain: string): string {
  const host = name.toLowerCase();
  if (host === "" || domain === "") return host;
  const labels = host.split(".");
  if (labels.length === 1) return `${host}.${namespace || "default"}.svc.${domain}`;
  if (labels.length === 2) return `${host}.svc.${domain}`;
  if (labels.length === 3 && labels[2] === "svc") return `${host}.${domain}`;
  return host;
}

/**
 * Every form of `host` for a caller in `namespace`, the shortest first: the suffix that the host
 * shares with the caller's domain may be left out, wholly or from any dot on (manager 4.3).
 *
 *   reviews.default.svc.cluster.local, called from default ─▶ reviews, reviews.default, …
 */
export function callableNames(host: string, namespace: string, domain: string): readonly string[] {
  if (host.startsWith("*") || domain === "") return [host];
  const parts = host.split(".");
  const suffix = `${namespace || "default"}.svc.${domain}`.split(".");
  let shared = 0;
  while (
    shared < parts.length - 1 &&
    shared < suffix.length &&
    parts[parts.length - 1 - shared] === suffix[suffix.length - 1 - shared]
  )
    shared++;
  const names: string[] = [];
  for (let length = parts.length - shared; length <= parts.length; length++)
    names.push(parts.slice(0, length).join("."));
  return names;
}

/** As an authority names it: an IPv6 address in brackets. */
export function authorityOf(host: string): string {
  return host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
}
