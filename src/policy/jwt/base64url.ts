/**
 * base64url as tokens and keys have it (RFC 7515 2): no padding, no other characters, and no bits
 * left over, so that there is one text for the same octets.
 */
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** Its six bits, or 255. */
const sixBits = new Uint8Array(256).fill(255);
for (let i = 0; i < LETTERS.length; i++) sixBits[LETTERS.charCodeAt(i)] = i;

/** Of text[from, to); undefined: it is none. */
export function decodeBase64Url(
  text: string,
  from = 0,
  to: number = text.length,
): Uint8Array | undefined {
  const length = to - from;
  const rest = length & 3;
  if (rest === 1) return undefined;
  const octets = new Uint8Array((length * 3) >> 2);
  let bits = 0;
  let out = 0;
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(from + i);
    const value = code < 256 ? sixBits[code]! : 255;
    if (value === 255) return undefined;
    bits = ((bits << 6) | value) & 0xffff;
    const place = i & 3;
    if (place !== 0) octets[out++] = bits >> (6 - 2 * place);
  }
  const left = rest === 2 ? bits & 0xf : rest === 3 ? bits & 0x3 : 0;
  return left === 0 ? octets : undefined;
}
