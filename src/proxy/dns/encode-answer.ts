/** Answers of our own to questions about names of the mesh, and refusals. Pure; see message.ts. */
import type { Query } from "./message.ts";
import {
  CLASS_IN,
  Flag,
  HEADER_BYTES,
  PAYLOAD_MAX,
  RecordType,
  ResponseCode,
  setWord,
  word,
} from "./wire.ts";

/** Addresses as answers to the question; of the question's own type and name. */
export interface OwnAnswer {
  readonly code: number;
  /** 4 or 16 octets each. */
  readonly addresses: readonly Uint8Array[];
  /** Also how long the absence of an answer may be remembered. */
  readonly ttlSeconds: number;
}

/**
 * An authoritative answer to `query`, which `question` holds. What does not fit into `bytesMax` is
 * left out, and the answer marked as truncated.
 */
export function encodeAnswer(
  question: Uint8Array,
  query: Query,
  { code, addresses, ttlSeconds }: OwnAnswer,
  bytesMax: number,
): Uint8Array {
  const out = new MessageWriter(question.subarray(0, query.questionEnd));
  const room = bytesMax - (query.hasOpt ? OPT_BYTES : 0);
  let answers = 0;
  for (const address of addresses) {
    if (out.length + ADDRESS_RECORD_BYTES + address.length > room) break;
    out.record(query.type, ttlSeconds, address);
    answers++;
  }
  const isNegative = code === ResponseCode.nameError || (code === 0 && addresses.length === 0);
  const soa = isNegative && out.length + ADDRESS_RECORD_BYTES + SOA_BYTES <= room;
  if (soa) out.record(RecordType.SOA, ttlSeconds, soaData(ttlSeconds));
  if (query.hasOpt) out.opt(PAYLOAD_MAX);
  const truncated = answers < addresses.length ? Flag.truncated : 0;
  const authoritative = code === ResponseCode.noError || isNegative ? Flag.authoritative : 0;
  out.header(
    Flag.isAnswer |
      authoritative |
      truncated |
      Flag.recursionAvailable |
      (query.flags & (Flag.recursionDesired | Flag.checkingDisabled)) |
      code,
    {
      answers,
      authorities: soa ? 1 : 0,
      additional: query.hasOpt ? 1 : 0,
    },
  );
  return out.bytes();
}

/** For a message that could not be read beyond its header. */
export function encodeRefusal(bytes: Uint8Array, code: number): Uint8Array {
  const out = bytes.slice(0, HEADER_BYTES);
  setWord(out, 2, Flag.isAnswer | (word(bytes, 2) & (Flag.opcode | Flag.recursionDesired)) | code);
  out.fill(0, 4);
  return out;
}

/** Two octets that point at the question's name, type, class, TTL, length. */
const ADDRESS_RECORD_BYTES = 12;
const OPT_BYTES = 11;
const SOA_BYTES = 22;

/** The zone of a name of the mesh is the name itself; nobody else serves it. */
function soaData(ttlSeconds: number): Uint8Array {
  const data = new Uint8Array(SOA_BYTES);
  const view = new DataView(data.buffer);
  // Both names are the root. Serial, refresh, retry, expire, and how long "no" may be remembered.
  for (const [i, value] of [1, 3_600, 600, 86_400, ttlSeconds].entries())
    view.setUint32(2 + 4 * i, value);
  return data;
}

class MessageWriter {
  readonly #parts: Uint8Array[];
  length: number;

  constructor(question: Uint8Array) {
    this.#parts = [question.slice()];
    this.length = question.length;
  }

  record(type: number, ttlSeconds: number, data: Uint8Array): void {
    const bytes = new Uint8Array(ADDRESS_RECORD_BYTES + data.length);
    const view = new DataView(bytes.buffer);
    view.setUint16(0, 0xc000 | HEADER_BYTES);
    view.setUint16(2, type);
    view.setUint16(4, CLASS_IN);
    view.setUint32(6, ttlSeconds);
    view.setUint16(10, data.length);
    bytes.set(data, ADDRESS_RECORD_BYTES);
    this.#add(bytes);
  }

  opt(payloadMax: number): void {
    const bytes = new Uint8Array(OPT_BYTES);
    setWord(bytes, 1, RecordType.OPT);
    setWord(bytes, 3, payloadMax);
    this.#add(bytes);
  }

  header(
    flags: number,
    counts: { readonly answers: number; readonly authorities: number; readonly additional: number },
  ): void {
    const head = this.#parts[0]!;
    const { answers: an, authorities: ns, additional: ar } = counts;
    for (const [i, value] of [flags, 1, an, ns, ar].entries()) setWord(head, 2 + 2 * i, value);
  }

  bytes(): Uint8Array {
    const out = new Uint8Array(this.length);
    let at = 0;
    for (const part of this.#parts) {
      out.set(part, at);
      at += part.length;
    }
    return out;
  }

  #add(bytes: Uint8Array): void {
    this.#parts.push(bytes);
    this.length += bytes.length;
  }
}
