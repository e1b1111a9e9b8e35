/**
 * The content of a request in the codec of the upstream. It is kept for a further try as it came,
 * and copied to a mirror, which speaks HTTP/1.1, in the form that its head announces.
 */
import { chunkEnd, lastChunk, lastChunkStart, writeChunkSize } from "../../http1/chunk-writer.ts";
import { type Exchange, Form } from "./exchange.ts";

/** Room for the size line of a chunk. */
const sizeLine = new Uint8Array(32);
const NO_BYTES = new Uint8Array(0);

/** Content, decoded unless its form is relay. */
export function sendContent(ex: Exchange, bytes: Uint8Array, from: number, to: number): void {
  ex.bodySent = true;
  ex.requestBytes += to - from;
  ex.replay?.add(bytes, from, to);
  if (ex.copy !== undefined) copyContent(ex, bytes, from, to);
  stageContent(ex, bytes, from, to);
}

/** The end of the content; `trailers`: whole lines. */
export function sendEnd(ex: Exchange, trailers: Uint8Array, length: number): void {
  if (ex.requestForm === Form.relay) {
    ex.bodySent = true;
    if (length > 0) sendPiece(ex, trailers, length);
    return sendPiece(ex, chunkEnd, 2);
  }
  if (ex.copyForm === Form.chunks) ex.copy?.body(lastChunk, 0, lastChunk.length);
  stageEnd(ex, trailers, length);
}

/** What an earlier try had sent, once more. */
export function resendContent(ex: Exchange): void {
  const { replay } = ex;
  if (replay === undefined || replay.length === 0) return;
  stageContent(ex, replay.bytes, 0, replay.length);
  if (ex.requestDone && ex.requestForm !== Form.relay) stageEnd(ex, NO_BYTES, 0);
}

function stageContent(ex: Exchange, bytes: Uint8Array, from: number, to: number): void {
  const { output } = ex.env;
  const upstream = ex.upstream!;
  if (upstream.stream !== undefined) {
    const decoded = ex.call?.web?.decodeRequest(bytes, from, to);
    if (decoded === undefined) upstream.send(bytes, from, to - from);
    else if (decoded.length > 0) upstream.send(decoded, 0, decoded.length);
  } else if (ex.requestForm === Form.chunks) {
    output.stage(upstream, sizeLine, 0, writeChunkSize(sizeLine, 0, to - from));
    output.stage(upstream, bytes, from, to);
    output.stage(upstream, chunkEnd, 0, 2);
  } else output.stage(upstream, bytes, from, to);
}

function stageEnd(ex: Exchange, trailers: Uint8Array, length: number): void {
  const { output } = ex.env;
  const upstream = ex.upstream!;
  // What is malformed has no end, so that nobody takes it for the whole.
  if (ex.call?.web?.endRequest() === false) return;
  if (upstream.stream !== undefined)
    return upstream.endRequest(length === 0 ? undefined : trailers.slice(0, length));
  if (ex.requestForm !== Form.chunks) return;
  if (length === 0) return output.stage(upstream, lastChunk, 0, lastChunk.length);
  output.stage(upstream, lastChunkStart, 0, lastChunkStart.length);
  output.stage(upstream, trailers, 0, length);
  output.stage(upstream, chunkEnd, 0, 2);
}

/** A piece of the framing that is passed on as it came. */
function sendPiece(ex: Exchange, bytes: Uint8Array, length: number): void {
  ex.replay?.add(bytes, 0, length);
  ex.copy?.body(bytes, 0, length);
  ex.env.output.stage(ex.upstream!, bytes, 0, length);
}

function copyContent(ex: Exchange, bytes: Uint8Array, from: number, to: number): void {
  const { copy } = ex;
  if (ex.copyForm === Form.chunks) {
    copy?.body(sizeLine, 0, writeChunkSize(sizeLine, 0, to - from));
    copy?.body(bytes, from, to);
    copy?.body(chunkEnd, 0, 2);
  } else copy?.body(bytes, from, to);
}
