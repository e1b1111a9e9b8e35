/**
 * DER, as far as certificates need it (X.690 8 and 10): elements of one tag byte and a definite
 * length. Written by functions that nest as the ASN.1 does; read one level at a time into a list,
 * and strictly: what DER would write otherwise is not read.
 */

export interface DerElement {
  readonly tag: number;
  readonly content: Buffer;
  /** With tag and length: what signatures are over. */
  readonly whole: Buffer;
}

/** The tags that X.509 and PKCS#10 use; context-specific ones are 0x80 (primitive), 0xa0. */
export const Tag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

const LENGTH_BYTES_MAX = 3;

/** Everything in `bytes`, one behind the other; undefined: it is not DER. */
export function readDer(bytes: Buffer): readonly DerElement[] | undefined {
  const found: DerElement[] = [];
  let at = 0;
  while (at < bytes.length) {
    const end = endOf(bytes, at);
    if (end === undefined) return undefined;
    const { start, end: to } = end;
    found.push({
      tag: bytes[at]!,
      content: bytes.subarray(start, to),
      whole: bytes.subarray(at, to),
    });
    at = to;
  }
  return found;
}

/** Exactly one element of `tag`, read into its parts. */
export function readDerOf(tag: number, bytes: Buffer): readonly DerElement[] | undefined {
  const [outer, ...others] = readDer(bytes) ?? [];
  return outer?.tag === tag && others.length === 0 ? readDer(outer.content) : undefined;
}

function endOf(bytes: Buffer, at: number): { start: number; end: number } | undefined {
  const tag = bytes[at]!;
  const first = bytes[at + 1];
  // Tags of more than one byte (X.690 8.1.2.4) are nowhere in certificates.
  if ((tag & 0x1f) === 0x1f || first === undefined) return undefined;
  const size = first < 0x80 ? 0 : first - 0x80;
  const start = at + 2 + size;
  if (first === 0x80 || size > LENGTH_BYTES_MAX || start > bytes.length) return undefined;
  const length = size === 0 ? first : bytes.readUIntBE(at + 2, size);
  // The shortest form, and no other (X.690 10.1).
  const least = size === 0 ? 0 : size === 1 ? 0x80 : 1 << (8 * (size - 1));
  const end = start + length;
  return length < least || end > bytes.length ? undefined : { start, end };
}

export function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.of(tag, length), content]);
  const size = length < 0x100 ? 1 : length < 0x1_0000 ? 2 : 3;
  const head = Buffer.alloc(2 + size);
  head[0] = tag;
  head[1] = 0x80 + size;
  head.writeUIntBE(length, 2, size);
  return Buffer.concat([head, content]);
}

export function derSequence(...parts: readonly Buffer[]): Buffer {
  return der(Tag.sequence, ...parts);
}

/** "551d11" for 2.5.29.17: the content in hexadecimal. */
export function derOid(hex: string): Buffer {
  return der(Tag.oid, Buffer.from(hex, "hex"));
}

/** Of whole bytes. */
export function derBits(bytes: Buffer): Buffer {
  return der(Tag.bitString, Buffer.of(0), bytes);
}

/** To the second; two digits of the year before 2050 (RFC 5280 4.1.2.5). */
export function derTime(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, "");
  const isShort = Number(digits.slice(0, 4)) < 2050;
  return der(
    isShort ? Tag.utcTime : Tag.generalizedTime,
    Buffer.from(isShort ? digits.slice(2) : digits),
  );
}

/** RFC 7468. */
export function toPem(label: string, bytes: Buffer): string {
  const lines = bytes.toString("base64").match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}
