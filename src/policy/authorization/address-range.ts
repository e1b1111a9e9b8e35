/** Ranges of IP addresses: "10.0.0.0/8", "2001:db8::/32", "192.0.2.7". */
import { parseIpAddress, shortestIpAddress } from "../../attribute/ip-address.ts";

export type AddressTest = (address: Uint8Array | undefined) => boolean;

/** Undefined: it is none. An address of 4 octets is in no range of IPv6, nor the other way. */
export function compileAddressRange(text: string): AddressTest | undefined {
  const slash = text.indexOf("/");
  const parsed = parseIpAddress(slash === -1 ? text : text.slice(0, slash));
  if (parsed === undefined) return undefined;
  const base = shortestIpAddress(parsed);
  // "::ffff:10.0.0.0/104" is 10.0.0.0/8.
  const mapped = base.length === 4 && text.includes(":") ? 96 : 0;
  const max = base.length * 8 + mapped;
  const written = slash === -1 ? max : bitsOf(text.slice(slash + 1), max);
  if (written === undefined || written < mapped) return undefined;
  const bits = written - mapped;
  const whole = bits >> 3;
  const mask = (0xff00 >> (bits & 7)) & 0xff;
  return (address) => {
    if (address === undefined || address.length !== base.length) return false;
    for (let i = 0; i < whole; i++) if (address[i] !== base[i]) return false;
    return mask === 0 || (address[whole]! & mask) === (base[whole]! & mask);
  };
}

function bitsOf(text: string, max: number): number | undefined {
  if (!/^\d{1,3}$/.test(text)) return undefined;
  const bits = Number(text);
  return bits <= max ? bits : undefined;
}
