/**
 * What a field of HTTP/2 is, as one number: a FieldId, or a pseudo-field (RFC 9113 8.3, RFC 8441);
 * and whether its name and value are such as may go on to any recipient (RFC 9113 8.2.1).
 */
import { FieldId, fieldIdOf } from "../http/field-id.ts";
import { Ascii, Octet, octetClass } from "../http/octet.ts";

/** From 128 on; FieldId stays below. */
export const Pseudo = {
  /** No pseudo-field that exists. */
  unknown: 128,
  method: 129,
  scheme: 130,
  authority: 131,
  path: 132,
  status: 133,
  protocol: 134,
} as const;

/** What is wrong with a field; a set of bits. */
export const Flaw = { name: 1, value: 2 } as const;

/** What the scan of a name found: the kind, with Flaw.name above it. */
const NAME_FLAW = 256;

const encoder = new TextEncoder();
const pseudoNames: readonly (readonly [name: Uint8Array, kind: number])[] = [
  [encoder.encode(":method"), Pseudo.method],
  [encoder.encode(":scheme"), Pseudo.scheme],
  [encoder.encode(":authority"), Pseudo.authority],
  [encoder.encode(":path"), Pseudo.path],
  [encoder.encode(":status"), Pseudo.status],
  [encoder.encode(":protocol"), Pseudo.protocol],
];

/** Octets of a name: token characters that are no capitals. */
const nameOctet = new Uint8Array(256);
for (let octet = 0; octet < 256; octet++) {
  const capital = octet >= 65 && octet <= 90;
  nameOctet[octet] = (octetClass[octet]! & Octet.token) !== 0 && !capital ? 1 : 0;
}

/** The kind of the name in [from, to); + 256 where no field may have it. */
export function kindOf(bytes: Uint8Array, from: number, to: number): number {
  if (bytes[from] === Ascii.colon && from < to) return pseudoKind(bytes, from, to);
  let sound = from < to ? 1 : 0;
  for (let i = from; i < to; i++) sound &= nameOctet[bytes[i]!]!;
  return sound === 1 ? fieldIdOf(bytes, from, to) : FieldId.other + NAME_FLAW;
}

/** Whether a field value may be [from, to): no control character but HTAB, no blank at its ends. */
export function isSoundValue(bytes: Uint8Array, from: number, to: number): boolean {
  if (from === to) return true;
  let sound: number = Octet.value;
  for (let i = from; i < to; i++) sound &= octetClass[bytes[i]!]!;
  return sound !== 0 && !isBlank(bytes[from]!) && !isBlank(bytes[to - 1]!);
}

function isBlank(octet: number): boolean {
  return octet === Ascii.space || octet === Ascii.tab;
}

function pseudoKind(bytes: Uint8Array, from: number, to: number): number {
  for (const [name, kind] of pseudoNames) {
    if (name.length !== to - from) continue;
    let i = 0;
    while (i < name.length && bytes[from + i] === name[i]) i++;
    if (i === name.length) return kind;
  }
  return Pseudo.unknown;
}
