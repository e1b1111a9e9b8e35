/**
 * The ways in which a decoder's input may arrive: whole, byte by byte, cut in two at every offset,
 * and cut at random. What it makes of them must not differ.
 */
import type { Random } from "../core/random.ts";

/** Every way for short inputs; for longer ones the cuts in two are thinned out to `cutsMax`. */
export function* splits(bytes: Uint8Array, random: Random, cutsMax = 512): Generator<Uint8Array[]> {
  yield [bytes];
  yield Array.from(bytes, (_, i) => bytes.subarray(i, i + 1));
  const step = Math.max(1, Math.ceil(bytes.length / cutsMax));
  for (let cut = 1; cut < bytes.length; cut += step) {
    yield [bytes.subarray(0, cut), bytes.subarray(cut)];
  }
  for (let round = 0; round < 4; round++) yield randomPieces(bytes, random);
}

/** Pieces of random length, short ones more often. */
export function randomPieces(bytes: Uint8Array, random: Random): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = 1 + Math.floor(random() ** 3 * 40);
    pieces.push(bytes.subarray(at, at + length));
    at += length;
  }
  return pieces;
}
