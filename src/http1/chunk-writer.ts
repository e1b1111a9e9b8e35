/** Writes the framing of the chunked transfer coding (RFC 9112 7.1). */
const digits = new TextEncoder().encode("0123456789abcdef");

/** Room that one size line may need. */
export const chunkSizeBytesMax = 16;

/** What follows the data of every chunk. */
export const chunkEnd: Uint8Array = new TextEncoder().encode("\r\n");

/** The last chunk, without trailers. */
export const lastChunk: Uint8Array = new TextEncoder().encode("0\r\n\r\n");

/** The last chunk, to be followed by trailers and an empty line. */
export const lastChunkStart: Uint8Array = new TextEncoder().encode("0\r\n");

/** Writes the size line that begins a chunk; returns the offset past it. `size` is above 0. */
export function writeChunkSize(out: Uint8Array, at: number, size: number): number {
  let count = 1;
  for (let rest = Math.floor(size / 16); rest > 0; rest = Math.floor(rest / 16)) count++;
  let rest = size;
  for (let i = at + count - 1; i >= at; i--) {
    out[i] = digits[rest % 16]!;
    rest = Math.floor(rest / 16);
  }
  out[at + count] = 13;
  out[at + count + 1] = 10;
  return at + count + 2;
}
