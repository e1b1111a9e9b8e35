/**
 * Networks as operators write them (10.0.0.0/8, 2001:db8::/32, or one address), asked whether an
 * address is in one. A look-up costs as many steps as there are different lengths of prefixes.
 */
import { parseIpAddress, shortestIpAddress } from "../attribute/ip-address.ts";

export interface IpPrefix {
  /** 4 or 16, without bits beyond the length. */
  readonly octets: Uint8Array;
  readonly length: number;
}

/** Undefined: neither an address nor a network. Bits beyond the length are dropped. */
export function parseIpPrefix(text: string): IpPrefix | undefined {
  const slash = text.indexOf("/");
  const address = parseIpAddress(slash === -1 ? text : text.slice(0, slash));
  if (address === undefined) return undefined;
  const octets = shortestIpAddress(address);
  if (slash === -1) return { octets, length: octets.length * 8 };
  const suffix = text.slice(slash + 1);
  if (!/^(0|[1-9]\d{0,2})$/.test(suffix)) return undefined;
  // ::ffff:10.0.0.0/104 is 10.0.0.0/8.
  const mapped = octets.length === 4 && text.includes(":");
  const length = Number(suffix) - (mapped ? 96 : 0);
  if (length < 0 || length > octets.length * 8) return undefined;
  return { octets: masked(octets, length), length };
}

export class IpPrefixSet {
  /** By length; the prefix as a number of 32 bits. */
  readonly #short = new Map<number, Set<number>>();
  /** By length; the prefix in hexadecimal. */
  readonly #long = new Map<number, Set<string>>();

  constructor(prefixes: Iterable<IpPrefix>) {
    for (const { octets, length } of prefixes)
      if (octets.length === 4) put(this.#short, length, numberOf(octets));
      else put(this.#long, length, octets.toHex());
  }

  /** Of 4 or 16 octets; others are in no network. */
  has(address: Uint8Array): boolean {
    const octets = shortestIpAddress(address);
    if (octets.length === 4) {
      const number = numberOf(octets);
      for (const [length, known] of this.#short) {
        // Shifts are by 0 to 31: one by 32 would do nothing.
        const mask = length === 0 ? 0 : -1 << (32 - length);
        if (known.has(number & mask)) return true;
      }
    } else if (octets.length === 16)
      for (const [length, known] of this.#long)
        if (known.has(masked(octets, length).toHex())) return true;
    return false;
  }
}

function put<T>(lengths: Map<number, Set<T>>, length: number, prefix: T): void {
  const known = lengths.get(length);
  if (known === undefined) lengths.set(length, new Set([prefix]));
  else known.add(prefix);
}

function numberOf(octets: Uint8Array): number {
  return (octets[0]! << 24) | (octets[1]! << 16) | (octets[2]! << 8) | octets[3]!;
}

function masked(octets: Uint8Array, length: number): Uint8Array {
  const kept = new Uint8Array(octets.length);
  const whole = length >> 3;
  kept.set(octets.subarray(0, whole));
  if ((length & 7) !== 0) kept[whole] = octets[whole]! & (0xff00 >> (length & 7));
  return kept;
}
