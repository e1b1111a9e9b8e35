/** MessagePack, as much of its specification as records of logs need. Encoding only. */

export type Packed =
  | string
  | number
  | bigint
  | boolean
  | null
  | EventTime
  | Double
  | readonly Packed[]
  | ReadonlyMap<string, Packed>;

/** Fluentd's time: an extension of type 0, to the nanosecond. */
export class EventTime {
  readonly seconds: number;
  readonly nanos: number;

  constructor(seconds: number, nanos: number) {
    this.seconds = seconds;
    this.nanos = nanos;
  }
}

/** A number that is one of 64 bits with a point, whole or not. */
export class Double {
  readonly value: number;

  constructor(value: number) {
    this.value = value;
  }
}

export function packMessage(value: Packed): Buffer {
  const parts: Buffer[] = [];
  pack(value, parts);
  return Buffer.concat(parts);
}

function pack(value: Packed, out: Buffer[]): void {
  if (value === null) out.push(Buffer.of(0xc0));
  else if (typeof value === "boolean") out.push(Buffer.of(value ? 0xc3 : 0xc2));
  else if (typeof value === "string") {
    const bytes = Buffer.from(value);
    out.push(head(bytes.length, { short: 0xa0, shortMax: 31, codes: [0xd9, 0xda, 0xdb] }), bytes);
  } else if (typeof value === "bigint") out.push(packInteger(value));
  else if (typeof value === "number") out.push(packNumber(value));
  else if (value instanceof Double) out.push(packDouble(value.value));
  else if (value instanceof EventTime) out.push(packTime(value));
  else if (value instanceof Map) {
    out.push(head(value.size, { short: 0x80, shortMax: 15, codes: [undefined, 0xde, 0xdf] }));
    for (const [key, of] of value as ReadonlyMap<string, Packed>) {
      pack(key, out);
      pack(of, out);
    }
  } else {
    const items = value as readonly Packed[];
    out.push(head(items.length, { short: 0x90, shortMax: 15, codes: [undefined, 0xdc, 0xdd] }));
    for (const item of items) pack(item, out);
  }
}

interface HeadForms {
  readonly short: number;
  readonly shortMax: number;
  /** With a length of 8, 16 and 32 bits. */
  readonly codes: readonly [number | undefined, number, number];
}

function head(length: number, { short, shortMax, codes }: HeadForms): Buffer {
  if (length <= shortMax) return Buffer.of(short | length);
  const [code8, code16, code32] = codes;
  if (code8 !== undefined && length <= 0xff) return Buffer.of(code8, length);
  if (length <= 0xffff) return Buffer.of(code16, length >> 8, length & 0xff);
  const bytes = Buffer.alloc(5, code32);
  bytes.writeUInt32BE(length, 1);
  return bytes;
}

function packNumber(value: number): Buffer {
  return Number.isSafeInteger(value) ? packInteger(BigInt(value)) : packDouble(value);
}

/** Small ones in a byte, others in 64 bits. */
function packInteger(value: bigint): Buffer {
  if (value >= 0n && value < 128n) return Buffer.of(Number(value));
  if (value < 0n && value >= -32n) return Buffer.of(0x100 + Number(value));
  const bytes = Buffer.alloc(9, 0xd3);
  bytes.writeBigInt64BE(value, 1);
  return bytes;
}

function packDouble(value: number): Buffer {
  const bytes = Buffer.alloc(9, 0xcb);
  bytes.writeDoubleBE(value, 1);
  return bytes;
}

function packTime({ seconds, nanos }: EventTime): Buffer {
  const bytes = Buffer.alloc(10);
  bytes[0] = 0xd7;
  bytes.writeUInt32BE(Math.min(Math.max(0, seconds), 0xffffffff), 2);
  bytes.writeUInt32BE(nanos, 6);
  return bytes;
}
