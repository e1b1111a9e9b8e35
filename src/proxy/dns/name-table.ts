/**
 * Names that the mesh itself answers, and their addresses; made anew when a configuration is
 * published. A name with a search domain of this machine behind it is the name: resolvers try
 * `reviews.corp.example` before `reviews`.
 */
import { encodeSocketAddress } from "../../io/socket-address.ts";

export interface NamedService {
  /** Lower case, without a dot at the end. */
  readonly names: readonly string[];
  /** IPv4 and IPv6. */
  readonly addresses: readonly string[];
}

export interface NameAddresses {
  /** Four octets each. */
  readonly ipv4: readonly Uint8Array[];
  /** Sixteen octets each. */
  readonly ipv6: readonly Uint8Array[];
}

export class NameTable {
  readonly #byName = new Map<string, NameAddresses>();
  readonly #suffixes: readonly string[];

  /** The first service that has a name keeps it. */
  constructor(services: readonly NamedService[], search: readonly string[]) {
    for (const { names, addresses } of services) {
      const encoded = encodeAddresses(addresses);
      if (encoded.ipv4.length + encoded.ipv6.length === 0) continue;
      for (const name of names) if (!this.#byName.has(name)) this.#byName.set(name, encoded);
    }
    this.#suffixes = search.map((domain) => `.${domain}`);
  }

  get size(): number {
    return this.#byName.size;
  }

  /** `name` in lower case. Undefined: somebody else may know it. */
  find(name: string): NameAddresses | undefined {
    const found = this.#byName.get(name);
    if (found !== undefined) return found;
    for (const suffix of this.#suffixes) {
      const base = name.endsWith(suffix) ? name.slice(0, -suffix.length) : "";
      const searched = base === "" ? undefined : this.#byName.get(base);
      if (searched !== undefined) return searched;
    }
    return undefined;
  }
}

function encodeAddresses(addresses: readonly string[]): NameAddresses {
  const ipv4: Uint8Array[] = [];
  const ipv6: Uint8Array[] = [];
  for (const address of addresses) {
    const encoded = encodeSocketAddress(address, 0);
    if (encoded?.length === 16) ipv4.push(encoded.subarray(4, 8));
    else if (encoded !== undefined) ipv6.push(encoded.subarray(8, 24));
  }
  return { ipv4, ipv6 };
}
