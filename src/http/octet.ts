/**
 * What each octet may be, as one table of bit sets, so that a scan costs one load and one mask.
 *
 * The classes are those of RFC 9110 5.5 and 5.6.2 and RFC 9112 3.2 as a strict intermediary reads
 * them: no octet above 0x7e in a target, no control character in a field value except HTAB.
 */
export const Octet = {
  /** tchar: methods, field names, codings, connection options. */
  token: 1,
  /** Inside a field value: HTAB, SP, VCHAR, obs-text. */
  value: 2,
  /** Inside a request target: VCHAR except "#". */
  target: 4,
  /** Inside the host of an authority: unreserved, sub-delims and "%". */
  host: 8,
  /** Inside the brackets of an IP literal. */
  literal: 16,
  digit: 32,
  /** Inside a target before its query: as `target`, except "?". */
  path: 64,
  /** Inside a quoted-string, except "\" and the quote: qdtext. */
  quoted: 128,
} as const;

export const Ascii = {
  tab: 9,
  lf: 10,
  cr: 13,
  space: 32,
  quote: 34,
  hash: 35,
  star: 42,
  comma: 44,
  slash: 47,
  zero: 48,
  nine: 57,
  colon: 58,
  semicolon: 59,
  equals: 61,
  question: 63,
  at: 64,
  bracketOpen: 91,
  backslash: 92,
  bracketClose: 93,
} as const;

/** Octet → the set of classes that it belongs to. */
export const octetClass: Uint8Array = buildClasses();

/** Octet → the value of a hexadecimal digit, or 255. */
export const hexValue: Uint8Array = buildHexValues();

function buildClasses(): Uint8Array {
  const table = new Uint8Array(256);
  const add = (octets: string, bit: number): void => {
    for (let i = 0; i < octets.length; i++) table[octets.charCodeAt(i)]! |= bit;
  };
  const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  const digits = "0123456789";
  add(`${letters}${digits}!#$%&'*+-.^_\`|~`, Octet.token);
  add(`${letters}${digits}-._~!$&'()*+,;=%`, Octet.host);
  add("0123456789abcdefABCDEF:.vV", Octet.literal);
  add(digits, Octet.digit);
  for (let octet = 0x20; octet <= 0xff; octet++) {
    if (octet === 0x7f) continue;
    table[octet]! |= Octet.value;
    if (octet !== Ascii.quote && octet !== Ascii.backslash) table[octet]! |= Octet.quoted;
    if (octet === 0x20 || octet > 0x7e || octet === Ascii.hash) continue;
    table[octet]! |= octet === Ascii.question ? Octet.target : Octet.target | Octet.path;
  }
  table[Ascii.tab]! |= Octet.value | Octet.quoted;
  return table;
}

function buildHexValues(): Uint8Array {
  const table = new Uint8Array(256).fill(255);
  for (let value = 0; value < 16; value++) {
    table[value.toString(16).charCodeAt(0)] = value;
    table[value.toString(16).toUpperCase().charCodeAt(0)] = value;
  }
  return table;
}
