/** DNS messages for tests, written as short as they are meant. */

export interface QuestionParts {
  readonly id?: number;
  readonly type?: number;
  /** Payload size of an OPT record; absent: no such record. */
  readonly opt?: number;
  readonly flags?: number;
}

/** A question as a resolver sends it; type A with recursion desired unless told. */
export function question(name: string, parts: QuestionParts = {}): Uint8Array {
  const { id = 0x1234, type = 1, opt, flags = 0x0100 } = parts;
  const labels = name === "" ? [] : name.split(".");
  return Uint8Array.from([
    ...[id, flags, 1, 0, 0, opt === undefined ? 0 : 1].flatMap(octets),
    ...labels.flatMap((label) => [label.length, ...new TextEncoder().encode(label)]),
    ...[0, 0, type, 0, 1],
    ...(opt === undefined ? [] : [0, 0, 41, ...octets(opt), 0, 0, 0, 0, 0, 0]),
  ]);
}

/** An answer to it that holds one address, "a.b.c.d"; without one it is empty. */
export function answerTo(asked: Uint8Array, address: string, code = 0): Uint8Array {
  const answer = [...asked.subarray(0, questionEnd(asked))];
  answer.splice(2, 10, 0x81, 0x80 | code, 0, 1, 0, address === "" ? 0 : 1, 0, 0, 0, 0);
  if (address !== "")
    answer.push(...[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4], ...address.split(".").map(Number));
  return Uint8Array.from(answer);
}

function questionEnd(bytes: Uint8Array): number {
  let at = 12;
  while (bytes[at] !== 0) at += 1 + bytes[at]!;
  return at + 5;
}

function octets(word: number): number[] {
  return [word >> 8, word & 0xff];
}
