/** Keys by which tokens are verified: where a set of them is, and its form. RFC 7517. */
import { isRecord } from "../../core/record.ts";
import type { Complaint } from "../../model/validate-name.ts";

export function checkJwksUri(value: string): Complaint {
  if (!/^https?:\/\/[^/?#]+/.test(value)) return "is not an address with http:// or https://";
  return URL.canParse(value) ? undefined : "is not an address that can be fetched";
}

const bytesMax = 256 * 1024;

/** RFC 7517 5: an object with `keys`, each with a type. */
export function checkJwks(value: string): Complaint {
  if (value.length > bytesMax) return "is too long";
  const set = parse(value);
  if (!isRecord(set) || !Array.isArray(set.keys)) return 'is not a set of keys {"keys": […]}';
  const isKey = (key: unknown): boolean => isRecord(key) && typeof key.kty === "string";
  return set.keys.every(isKey) ? undefined : "has a key without a type (kty)";
}

function parse(value: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    return undefined;
  }
}
