/** Numbers of DNS as they stand in messages (RFC 1035, 6891), and the words that hold them. */
export const RecordType = { A: 1, SOA: 6, AAAA: 28, OPT: 41, ANY: 255 } as const;
export const ResponseCode = {
  noError: 0,
  formatError: 1,
  serverFailure: 2,
  nameError: 3,
  notImplemented: 4,
  refused: 5,
} as const;

/** Bits of the header's second word. */
export const Flag = {
  isAnswer: 0x8000,
  opcode: 0x7800,
  authoritative: 0x0400,
  truncated: 0x0200,
  recursionDesired: 0x0100,
  recursionAvailable: 0x0080,
  checkingDisabled: 0x0010,
} as const;

export const HEADER_BYTES = 12;
export const CLASS_IN = 1;
/** RFC 9715: what passes without fragments everywhere. */
export const PAYLOAD_MAX = 1_232;

export function responseCode(answer: Uint8Array): number {
  return word(answer, 2) & 0xf;
}

export function withId(message: Uint8Array, id: number): Uint8Array {
  const copy = message.slice();
  setWord(copy, 0, id);
  return copy;
}

export function word(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

export function setWord(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >> 8;
  bytes[at + 1] = value & 0xff;
}
