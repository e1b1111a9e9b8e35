/** /etc/resolv.conf, as far as a forwarding resolver needs it. See resolv.conf(5). */
import { readFileSync } from "node:fs";
import { isIP } from "../http/ip-literal.ts";

export const RESOLVER_CONFIG = "/etc/resolv.conf";

export interface ResolverConfig {
  /** Addresses, at most three, as the system's own resolver asks. */
  readonly nameservers: readonly string[];
  /** Suffixes that are tried behind a short name; lower case, without dots at the ends. */
  readonly search: readonly string[];
}

const NAMESERVERS_MAX = 3;
const SEARCH_MAX = 32;

/** The last `search` or `domain` line counts. What is not understood is left out. */
export function parseResolverConfig(text: string): ResolverConfig {
  const nameservers: string[] = [];
  let search: readonly string[] = [];
  for (const line of text.split("\n")) {
    const [keyword, ...words] = line
      .replace(/[#;].*$/, "")
      .trim()
      .split(/\s+/);
    const [first = ""] = words;
    if (keyword === "nameserver" && isIP(first)) nameservers.push(first);
    if (keyword === "search" || keyword === "domain")
      search = words
        .map((word) => word.toLowerCase().replace(/^\.+|\.+$/g, ""))
        .filter((word) => word !== "")
        .slice(0, SEARCH_MAX);
  }
  return { nameservers: nameservers.slice(0, NAMESERVERS_MAX), search };
}

/** Nothing where there is no such file. */
export function readResolverConfig(path = RESOLVER_CONFIG): ResolverConfig {
  try {
    return parseResolverConfig(readFileSync(path, "utf8"));
  } catch {
    return { nameservers: [], search: [] };
  }
}
