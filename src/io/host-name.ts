/**
 * DNS names as TLS uses them: in SNI, in certificates, in configuration. Lower case throughout;
 * addresses have no place here, except that an IPv4 address looks like a name of four labels.
 */
const LABELS = /^[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*$/;
const LENGTH_MAX = 253;

/** Labels of 1 to 63 letters, digits, hyphens and underscores; no dot at the end, no port. */
export function isHostName(name: string): boolean {
  return name.length <= LENGTH_MAX && LABELS.test(name);
}

/** A host name, or "*." and at least two more labels: "*.com" would be most of the world. */
export function isNamePattern(pattern: string): boolean {
  if (!pattern.startsWith("*.")) return isHostName(pattern);
  const rest = pattern.slice(2);
  return isHostName(rest) && rest.includes(".");
}

/** "*.b.c", the only pattern beside itself that "a.b.c" matches (RFC 6125 6.4.3); "": none. */
export function wildcardOf(name: string): string {
  const dot = name.indexOf(".");
  return dot === -1 ? "" : `*${name.slice(dot)}`;
}
