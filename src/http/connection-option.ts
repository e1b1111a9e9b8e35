/**
 * Reads the Connection field (RFC 9110 7.6.1): what it says of the connection, and which fields are
 * for us alone.
 *
 * Naming a field removes it, except those that somebody else decides by: framing, routing,
 * identity, tracing. A client could otherwise strip what an earlier hop vouches for
 * (CVE-2022-31813).
 */
import { FieldId } from "./field-id.ts";
import type { MessageHead } from "./message-head.ts";
import { Ascii, Octet, octetClass } from "./octet.ts";

export const ConnectionOption = { close: 1, keepAlive: 2, upgrade: 4, te: 8 } as const;

/** Bounds the work of looking up what options name. */
const optionsMax = 32;

const encoder = new TextEncoder();
const words = {
  close: encoder.encode("close"),
  keepAlive: encoder.encode("keep-alive"),
  upgrade: encoder.encode("upgrade"),
  te: encoder.encode("te"),
};
const protectedPrefixes = ["x-forwarded-", "x-mesh-", "x-envoy-", "x-b3-", "x-real-ip"].map(
  (text) => encoder.encode(text),
);

/** The set of ConnectionOption in all Connection fields; -1 where the field is refused. */
export function readConnection(head: MessageHead): number {
  let options = 0;
  let count = 0;
  const { bytes } = head;
  for (
    let i = head.firstOf[FieldId.connection]!;
    i !== -1;
    i = head.nextOf(FieldId.connection, i)
  ) {
    const end = head.valueEnd[i]!;
    let at = head.valueStart[i]!;
    while (at < end) {
      const octet = bytes[at]!;
      if (octet === Ascii.comma || octet === Ascii.space || octet === Ascii.tab) {
        at++;
        continue;
      }
      const from = at;
      while (at < end && (octetClass[bytes[at]!]! & Octet.token) !== 0) at++;
      if (at === from || ++count > optionsMax || !endsElement(bytes, at, end)) return -1;
      const option = optionOf(bytes, from, at);
      if (option === 0) dropNamed(head, from, at);
      options |= option;
    }
  }
  return options;
}

/** Nothing but blanks may stand between an option and the next comma. */
function endsElement(bytes: Uint8Array, at: number, end: number): boolean {
  let next = at;
  while (next < end && (bytes[next] === Ascii.space || bytes[next] === Ascii.tab)) next++;
  return next === end || bytes[next] === Ascii.comma;
}

function optionOf(bytes: Uint8Array, from: number, to: number): number {
  switch (to - from) {
    case 2:
      return equalsWord(bytes, from, to, words.te) ? ConnectionOption.te : 0;
    case 5:
      return equalsWord(bytes, from, to, words.close) ? ConnectionOption.close : 0;
    case 7:
      return equalsWord(bytes, from, to, words.upgrade) ? ConnectionOption.upgrade : 0;
    case 10:
      return equalsWord(bytes, from, to, words.keepAlive) ? ConnectionOption.keepAlive : 0;
    default:
      return 0;
  }
}

function dropNamed(head: MessageHead, from: number, to: number): void {
  const { bytes } = head;
  for (const prefix of protectedPrefixes) {
    if (to - from >= prefix.length && equalsWord(bytes, from, from + prefix.length, prefix)) return;
  }
  head.connectionNamesFields = true;
  for (let i = 0; i < head.fieldCount; i++) {
    if (head.fieldId[i] !== FieldId.other) continue;
    const start = head.nameStart[i]!;
    if (head.nameEnd[i]! - start !== to - from) continue;
    let k = 0;
    while (from + k < to && lower(bytes[from + k]!) === lower(bytes[start + k]!)) k++;
    if (from + k === to) head.dropped[i] = 1;
  }
}

/** Whether [from, to) is `word`, which is in lower case, in any case. */
export function equalsWord(bytes: Uint8Array, from: number, to: number, word: Uint8Array): boolean {
  if (to - from !== word.length) return false;
  for (let i = 0; i < word.length; i++) {
    if (lower(bytes[from + i]!) !== word[i]) return false;
  }
  return true;
}

function lower(octet: number): number {
  return octet >= 65 && octet <= 90 ? octet | 32 : octet;
}
