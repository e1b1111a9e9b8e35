/** Ways to cut the same bytes into chunks, none of which a decoder may notice. */
import { seededRandom } from "../core/random.ts";

/** Whole; byte by byte; in two at every offset; at random, 20 times. */
export function* cuts(bytes: Uint8Array, seed: number): Generator<Uint8Array[]> {
  yield [bytes];
  yield Array.from(bytes, (_, i) => bytes.subarray(i, i + 1));
  for (let i = 1; i < bytes.length; i++) yield [bytes.subarray(0, i), bytes.subarray(i)];
  yield* randomCuts(bytes, seed, 20);
}

/** Chunks of 1 to 17 bytes; for inputs too long to be cut at every offset. */
export function* randomCuts(
  bytes: Uint8Array,
  seed: number,
  rounds: number,
): Generator<Uint8Array[]> {
  const random = seededRandom(seed);
  for (let round = 0; round < rounds; round++) {
    const chunks: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; ) {
      const end = Math.min(bytes.length, at + 1 + Math.floor(random() * 17));
      chunks.push(bytes.subarray(at, end));
      at = end;
    }
    yield chunks;
  }
}

/** For a failure message: where the cuts are. */
export function describeCuts(chunks: readonly Uint8Array[]): string {
  return chunks.length > 64
    ? `${chunks.length} chunks`
    : `chunks of ${chunks.map((chunk) => chunk.length).join(", ")} bytes`;
}
