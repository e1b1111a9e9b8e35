/** Which traces are kept: each decides alike wherever a part of it is seen. */

const IDS = 2 ** 52;

/** By the last 13 hexadecimal digits of the id, which are chance in all of its forms. */
export function isSampled(traceId: string, probability: number): boolean {
  if (probability >= 1) return true;
  const digits = traceId.slice(-13);
  if (!/^[0-9a-f]{13}$/i.test(digits)) return false;
  return Number.parseInt(digits, 16) < probability * IDS;
}
