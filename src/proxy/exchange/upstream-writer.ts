/**
 * The content of a request in the codec of the upstream. It is kept for a further try and copied to
 * the mirror in the form in which it is sent.
 */
import { chunkEnd, lastChunk, lastChunkStart, writeChunkSize } from "../../http1/chunk-writer.ts";
import { type Exchange, Form } from "./exchange.ts";

/** Room for the size line of a chunk, and what ends the chunk before it. */
const CHUNK_LINES = 32;
const sizeLine = new Uint8Array(CHUNK_LINES);

/** Content, decoded unless its form is relay. */
export function sendContent(ex: Exchange, bytes: Uint8Array, from: number, to: number): void {
  ex.bodySent = true;
  ex.requestBytes += to - from;
  if (ex.requestForm === Form.chunks) {
    send(ex, sizeLine, 0, writeChunkSize(sizeLine, 0, to - from));
    send(ex, bytes, from, to);
    send(ex, chunkEnd, 0, 2);
  } else send(ex, bytes, from, to);
}

/** The end of the content; `trailers`: whole lines. */
export function sendEnd(ex: Exchange, trailers: Uint8Array, length: number): void {
  if (ex.requestForm === Form.raw) return;
  ex.bodySent = true;
  if (ex.requestForm === Form.chunks) {
    if (length === 0) return send(ex, lastChunk, 0, lastChunk.length);
    send(ex, lastChunkStart, 0, lastChunkStart.length);
  }
  if (length > 0) send(ex, trailers, 0, length);
  send(ex, chunkEnd, 0, 2);
}

function send(ex: Exchange, bytes: Uint8Array, from: number, to: number): void {
  ex.replay?.add(bytes, from, to);
  ex.copy?.body(bytes, from, to);
  ex.env.output.stage(ex.upstream!, bytes, from, to);
}
