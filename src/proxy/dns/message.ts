/**
 * DNS messages (RFC 1035, with the OPT record of RFC 6891), as far as a forwarding server reads
 * them: questions strictly, answers of others by what they answer; encode-answer.ts writes our own.
 * Pure: bytes in, values out; nothing here throws, whatever the bytes.
 */
import { Flag, HEADER_BYTES, PAYLOAD_MAX, RecordType, ResponseCode, word } from "./wire.ts";

/** A query is a header, one question and at most a few records: OPT, TSIG. */
export const QUERY_BYTES_MAX = 1_024;
const NAME_BYTES_MAX = 255;
const LABEL_BYTES_MAX = 63;
const QUERY_RECORDS_MAX = 4;
const PLAIN_PAYLOAD_MAX = 512;
export interface Query {
  readonly id: number;
  /** Lower case, without the dot at the end; "" is the root. Octets outside names are escaped. */
  readonly name: string;
  readonly type: number;
  readonly class: number;
  /** Bytes of header and question. */
  readonly questionEnd: number;
  /** How long an answer by UDP may be. */
  readonly payloadMax: number;
  readonly hasOpt: boolean;
  readonly flags: number;
}

export type DecodedQuery =
  | { readonly at: "query"; readonly query: Query }
  /** To be answered with a code. */
  | { readonly at: "refused"; readonly code: number }
  /** Not a question at all: an answer to it could be the start of a loop. */
  | { readonly at: "ignored" };

export function decodeQuery(bytes: Uint8Array): DecodedQuery {
  if (bytes.length < HEADER_BYTES || (word(bytes, 2) & Flag.isAnswer) !== 0)
    return { at: "ignored" };
  const flags = word(bytes, 2);
  if ((flags & Flag.opcode) !== 0) return { at: "refused", code: ResponseCode.notImplemented };
  const records = word(bytes, 6) + word(bytes, 8) + word(bytes, 10);
  const malformed = { at: "refused", code: ResponseCode.formatError } as const;
  if (bytes.length > QUERY_BYTES_MAX || word(bytes, 4) !== 1 || records > QUERY_RECORDS_MAX)
    return malformed;
  const name = readName(bytes, HEADER_BYTES);
  if (name === undefined) return malformed;
  const questionEnd = name.end + 4;
  let at = questionEnd;
  let payload: number | undefined;
  for (let i = 0; i < records; i++) {
    const record = readRecord(bytes, at);
    if (record === undefined) return malformed;
    if (record.type === RecordType.OPT) {
      // One at most, at the root, among the additional records.
      const isAdditional = i >= word(bytes, 6) + word(bytes, 8);
      if (payload !== undefined || !record.isRoot || !isAdditional) return malformed;
      payload = record.class;
    }
    at = record.end;
  }
  // Also where the question or a record is longer than the message.
  if (at !== bytes.length) return malformed;
  const query: Query = {
    id: word(bytes, 0),
    name: name.text,
    type: word(bytes, name.end),
    class: word(bytes, name.end + 2),
    questionEnd,
    payloadMax: Math.min(Math.max(payload ?? 0, PLAIN_PAYLOAD_MAX), PAYLOAD_MAX),
    hasOpt: payload !== undefined,
    flags,
  };
  return { at: "query", query };
}

/** Whether `answer` answers `question`: its id, that it is an answer, and what was asked. */
export function answers(answer: Uint8Array, question: Uint8Array, questionEnd: number): boolean {
  if (answer.length < questionEnd || word(answer, 0) !== word(question, 0)) return false;
  const flags = word(answer, 2);
  if ((flags & Flag.isAnswer) === 0 || (flags & Flag.opcode) !== 0 || word(answer, 4) !== 1)
    return false;
  // Lengths of labels are below "A", so folding changes letters alone.
  for (let i = HEADER_BYTES; i < questionEnd - 4; i++)
    if (fold(answer[i]!) !== fold(question[i]!)) return false;
  for (let i = questionEnd - 4; i < questionEnd; i++) if (answer[i] !== question[i]) return false;
  return true;
}

function fold(octet: number): number {
  return octet >= 0x41 && octet <= 0x5a ? octet | 0x20 : octet;
}

/** A name without pointers: there is nothing before a question to point at. */
function readName(bytes: Uint8Array, from: number): { text: string; end: number } | undefined {
  const labels: string[] = [];
  for (let at = from; at < bytes.length && at - from < NAME_BYTES_MAX; ) {
    const length = bytes[at]!;
    if (length === 0) return { text: labels.join("."), end: at + 1 };
    if (length > LABEL_BYTES_MAX || at + 1 + length > bytes.length) return undefined;
    labels.push(labelText(bytes, at + 1, at + 1 + length));
    at += 1 + length;
  }
  return undefined;
}

function labelText(bytes: Uint8Array, from: number, to: number): string {
  let text = "";
  for (let i = from; i < to; i++) {
    const octet = fold(bytes[i]!);
    const isPlain = octet > 0x20 && octet < 0x7f && octet !== 0x2e && octet !== 0x5c;
    text += isPlain ? String.fromCharCode(octet) : `\\${String(octet).padStart(3, "0")}`;
  }
  return text;
}

function readRecord(bytes: Uint8Array, from: number) {
  const name = skipName(bytes, from);
  if (name === undefined || name + 10 > bytes.length) return undefined;
  const end = name + 10 + word(bytes, name + 8);
  return { type: word(bytes, name), class: word(bytes, name + 2), isRoot: bytes[from] === 0, end };
}

/** Where a name ends, which may be in a pointer; pointers are not followed. */
function skipName(bytes: Uint8Array, from: number): number | undefined {
  for (let at = from; at < bytes.length && at - from < NAME_BYTES_MAX; ) {
    const length = bytes[at]!;
    if (length === 0) return at + 1;
    if (length >= 0xc0) return at + 2 <= bytes.length ? at + 2 : undefined;
    if (length > LABEL_BYTES_MAX) return undefined;
    at += 1 + length;
  }
  return undefined;
}
