/**
 * The header x-istio-attributes: what a client's sidecar knows of both sides, as base64 (RFC 4648
 * 4) of an Attributes message (istio.mixer.v1). A server's sidecar believes a fixed list of names.
 *
 *   octets of the header ─▶ message ─▶ entries ─▶ ranges of the names on the list ─▶ text, if read
 *
 * Read on the path of requests from whoever sends them: in place, without exceptions, and with one
 * buffer for all. A value that is no message is refused whole. Spec: mixer 1.1, 2.5.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import {
  Attributes_AttributeValueSchema,
  AttributesSchema,
} from "../api/gen/istio/mixer/v1/attributes_pb.ts";
import { bytesOfText, isUtf8, textOfBytes } from "./byte-text.ts";

export const forwardedHeader = "x-istio-attributes";

export const forwardedNames = [
  "source.uid",
  "source.namespace",
  "destination.service.name",
  "destination.service.uid",
  "destination.service.host",
  "destination.service.namespace",
] as const;

export type ForwardedName = (typeof forwardedNames)[number];

/** Octets of the header's value; what is longer is refused. */
export const forwardedBytesMax = 8 * 1024;

const encodedNames = forwardedNames.map((name) => bytesOfText(name));

/** Digits by octet; 64: not one. */
const digits = new Uint8Array(256).fill(64);
for (const [i, octet] of bytesOfText(
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
).entries())
  digits[octet] = i;
const PAD = 0x3d;

/** Kinds of wire that fields have: the low bits of a tag. */
const VARINT = 0;
const BYTES_8 = 1;
const LENGTH = 2;
const BYTES_4 = 5;
/** Of a map's entry, and the numbers in the oneof of a value. */
const KEY = 1;
const VALUE = 2;
const TEXT = 2;
const LAST_KIND = 9;
const NONE = -1;

export class ForwardedAttributes {
  readonly #bytes = new Uint8Array((forwardedBytesMax / 4) * 3);
  /** Start and end of each name's value; NONE: it has none. */
  readonly #ranges = new Int32Array(2 * forwardedNames.length).fill(NONE);
  #at = 0;
  /** Of the tag that was read last: number of the field, kind of wire. */
  #field = 0;
  #wire = 0;
  /** Of the entry that is read: which name, and the range of its value. */
  #name = NONE;
  #start = NONE;
  #end = NONE;

  /** Octets `start` up to `end`; false, and nothing is believed, where they are no message. */
  read(octets: Uint8Array, start: number, end: number): boolean {
    this.clear();
    const length = this.#decode(octets, start, end);
    if (length !== NONE && this.#message(length)) return true;
    this.clear();
    return false;
  }

  clear(): void {
    this.#ranges.fill(NONE);
  }

  /** By the place of the name in `forwardedNames`. Undefined: it was not sent, or not as text. */
  text(name: number): string | undefined {
    const start = this.#ranges[2 * name]!;
    return start === NONE
      ? undefined
      : textOfBytes(this.#bytes.subarray(start, this.#ranges[2 * name + 1]!));
  }

  /** Base64, padded, nothing around it and no bits left over; returns how many octets, or NONE. */
  #decode(octets: Uint8Array, start: number, end: number): number {
    const length = end - start;
    if (length > forwardedBytesMax || length % 4 !== 0) return NONE;
    const out = this.#bytes;
    let to = 0;
    for (let at = start; at < end; at += 4) {
      const pads = at + 4 < end || octets[at + 3] !== PAD ? 0 : octets[at + 2] === PAD ? 2 : 1;
      const a = digits[octets[at]!]!;
      const b = digits[octets[at + 1]!]!;
      const c = pads > 1 ? 0 : digits[octets[at + 2]!]!;
      const d = pads > 0 ? 0 : digits[octets[at + 3]!]!;
      if ((a | b | c | d) > 63) return NONE;
      if ((pads === 2 && (b & 15) !== 0) || (pads === 1 && (c & 3) !== 0)) return NONE;
      out[to] = (a << 2) | (b >> 4);
      out[to + 1] = ((b & 15) << 4) | (c >> 2);
      out[to + 2] = ((c & 3) << 6) | d;
      to += 3 - pads;
    }
    return to;
  }

  #message(end: number): boolean {
    this.#at = 0;
    while (this.#at < end) {
      if (!this.#tag(end)) return false;
      if (this.#field !== KEY || this.#wire !== LENGTH) {
        if (!this.#skip(end)) return false;
        continue;
      }
      const length = this.#length(end);
      if (length === NONE || !this.#entry(this.#at + length)) return false;
      if (this.#name === NONE) continue;
      // Of a name that is there twice, the last one counts.
      this.#ranges[2 * this.#name] = this.#start;
      this.#ranges[2 * this.#name + 1] = this.#end;
    }
    return true;
  }

  /** Fields of an entry may come in any order, and more than once. */
  #entry(end: number): boolean {
    this.#name = NONE;
    this.#start = NONE;
    while (this.#at < end) {
      if (!this.#tag(end)) return false;
      if (this.#wire !== LENGTH || (this.#field !== KEY && this.#field !== VALUE)) {
        if (!this.#skip(end)) return false;
        continue;
      }
      const field = this.#field;
      const length = this.#length(end);
      if (length === NONE) return false;
      const to = this.#at + length;
      if (field === VALUE) {
        if (!this.#value(to)) return false;
        continue;
      }
      if (!isUtf8(this.#bytes, this.#at, to)) return false;
      this.#name = this.#nameOf(this.#at, length);
      this.#at = to;
    }
    return true;
  }

  /** One of several kinds: the last one counts, and is of use if it is text. */
  #value(end: number): boolean {
    while (this.#at < end) {
      if (!this.#tag(end)) return false;
      if (this.#field !== TEXT || this.#wire !== LENGTH) {
        if (this.#wire === wireOf(this.#field)) this.#start = NONE;
        if (!this.#skip(end)) return false;
        continue;
      }
      const length = this.#length(end);
      if (length === NONE || !isUtf8(this.#bytes, this.#at, this.#at + length)) return false;
      this.#start = this.#at;
      this.#at += length;
      this.#end = this.#at;
    }
    return true;
  }

  #nameOf(start: number, length: number): number {
    for (let i = 0; i < encodedNames.length; i++) {
      const name = encodedNames[i]!;
      if (name.length !== length) continue;
      let same = 0;
      while (same < length && name[same] === this.#bytes[start + same]) same++;
      if (same === length) return i;
    }
    return NONE;
  }

  #tag(end: number): boolean {
    const tag = this.#varint(end);
    if (tag === NONE) return false;
    this.#field = Math.floor(tag / 8);
    this.#wire = tag % 8;
    return this.#field > 0 && tag <= 0xffff_ffff;
  }

  /** Of a field that is within `end`. */
  #length(end: number): number {
    const length = this.#varint(end);
    return length === NONE || length > end - this.#at ? NONE : length;
  }

  /** Groups, which nobody writes any more, are refused. */
  #skip(end: number): boolean {
    if (this.#wire === VARINT) return this.#varint(end) !== NONE;
    const length =
      this.#wire === LENGTH
        ? this.#length(end)
        : this.#wire === BYTES_8
          ? 8
          : this.#wire === BYTES_4
            ? 4
            : NONE;
    if (length === NONE || length > end - this.#at) return false;
    this.#at += length;
    return true;
  }

  /** Ten octets at most; above 2^53 it is not exact, which is more than anything may be long. */
  #varint(end: number): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 10 && this.#at < end; i++) {
      const octet = this.#bytes[this.#at++]!;
      value += (octet & 0x7f) * scale;
      if (octet < 0x80) return value;
      scale *= 128;
    }
    return NONE;
  }
}

/** Which kind of wire a value of the oneof has, by its number; NONE: it is no kind of value. */
function wireOf(field: number): number {
  if (field < TEXT || field > LAST_KIND) return NONE;
  return field === 3 || field === 5 ? VARINT : field === 4 ? BYTES_8 : LENGTH;
}

/** The header's value, the same for the same values: requests are spread by it. */
export function encodeForwarded(values: Partial<Readonly<Record<ForwardedName, string>>>): string {
  const message = create(AttributesSchema);
  for (const name of forwardedNames) {
    const value = values[name];
    if (value === undefined) continue;
    const stringValue = { case: "stringValue", value } as const;
    message.attributes[name] = create(Attributes_AttributeValueSchema, { value: stringValue });
  }
  return toBinary(AttributesSchema, message).toBase64();
}
