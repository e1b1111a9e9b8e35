/** The parts of gRPC over HTTP/2 that calls on either side share (PROTOCOL-HTTP2.md). */

import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { toBinary } from "@bufbuild/protobuf";

/** Compressed-Flag and Message-Length before each message. */
export const PREFIX_BYTES = 5;

const encoder = new TextEncoder();

export function lineOf(name: string, value: string): string {
  return `${name}: ${value}\r\n`;
}

export function octets(text: string): Uint8Array {
  return encoder.encode(text);
}

/** A message behind its prefix. */
export function framed<D extends DescMessage>(schema: D, message: MessageShape<D>): Uint8Array {
  const body = toBinary(schema, message);
  const bytes = new Uint8Array(PREFIX_BYTES + body.length);
  new DataView(bytes.buffer).setUint32(1, body.length);
  bytes.set(body, PREFIX_BYTES);
  return bytes;
}

export type Unframed =
  | { readonly ok: true; readonly message: Uint8Array }
  | { readonly ok: false; readonly why: "compressed" | "not one message" };

/** The one message of a unary call. */
export function unframe(bytes: Uint8Array): Unframed {
  if (bytes.length < PREFIX_BYTES) return { ok: false, why: "not one message" };
  if (bytes[0] !== 0) return { ok: false, why: "compressed" };
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(1);
  if (bytes.length !== PREFIX_BYTES + length) return { ok: false, why: "not one message" };
  return { ok: true, message: bytes.subarray(PREFIX_BYTES) };
}

export function joined(parts: readonly Uint8Array[]): Uint8Array {
  return parts.length === 1 ? parts[0]! : new Uint8Array(Buffer.concat(parts));
}

/** Percent-Encoded: what is not printable ASCII, and "%". */
export function encodeMessage(text: string): string {
  let encoded = "";
  for (const octet of encoder.encode(text)) {
    const plain = octet >= 0x20 && octet <= 0x7e && octet !== 0x25;
    encoded += plain
      ? String.fromCharCode(octet)
      : `%${octet.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return encoded;
}

/** What cannot be decoded is taken as it is. */
export function decodeMessage(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
