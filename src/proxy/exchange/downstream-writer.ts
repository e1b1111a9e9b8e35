/**
 * The response in the codec of the downstream: head, content, end. What is written is staged in
 * env.output, and leaves when the caller flushes.
 */
import { chunkEnd, lastChunk, lastChunkStart, writeChunkSize } from "../../http1/chunk-writer.ts";
import { outcomeOfCode } from "../cluster/outcome.ts";
import type { Call } from "../grpc/call.ts";
import { messageIn, NO_STATUS, statusIn } from "../grpc/status.ts";
import type { DownstreamSide } from "./downstream-side.ts";
import { type Exchange, Form } from "./exchange.ts";
import type { Staging } from "./staging.ts";

const NO_BYTES = new Uint8Array(0);
/** Room for the size line of a chunk, and what ends the chunk before it. */
const CHUNK_LINES = 32;

/** Content, decoded unless its form is relay. */
export function writeContent(ex: Exchange, bytes: Uint8Array, from: number, to: number): void {
  const web = ex.call?.web;
  if (web?.translates === true && to > from) {
    const encoded = web.encodeResponse(bytes, from, to);
    if (encoded !== undefined) {
      ex.responseBytes += encoded.length - (to - from);
      return passContent(ex, encoded, 0, encoded.length);
    }
  }
  passContent(ex, bytes, from, to);
}

function passContent(ex: Exchange, bytes: Uint8Array, from: number, to: number): void {
  const { output } = ex.env;
  const downstream = ex.downstream!;
  if (downstream.stream !== undefined) downstream.send(bytes, from, to - from);
  else if (ex.responseForm === Form.chunks) stageChunk(output, downstream, bytes, { from, to });
  else output.stage(downstream, bytes, from, to);
}

/** The end of the content; trailers[from, to): whole lines, which never change. */
export function writeEnd(ex: Exchange, trailers: Uint8Array, from: number, to: number): void {
  const { call } = ex;
  if (call !== undefined && to > from) {
    if (call.answered) takeStatus(ex, call, statusIn(trailers, from, to));
    if (ex.env.policy?.readsGrpcMessage === true) call.takeMessage(messageIn(trailers, from, to));
    if (call.web?.translates === true) {
      const frame = call.web.trailerFrame(trailers.subarray(from, to), to - from);
      ex.responseBytes += frame.length;
      passContent(ex, frame, 0, frame.length);
      return passEnd(ex, NO_BYTES, 0, 0);
    }
  }
  passEnd(ex, trailers, from, to);
}

function takeStatus(ex: Exchange, call: Call, status: number): void {
  const isNews = call.awaitsStatus && status !== NO_STATUS;
  call.takeStatus(status);
  if (isNews && call.endedInTime) ex.cluster?.ended(ex.endpoint!, outcomeOfCode(status));
}

function passEnd(ex: Exchange, trailers: Uint8Array, from: number, to: number): void {
  const { output } = ex.env;
  const downstream = ex.downstream!;
  if (downstream.stream !== undefined) return downstream.endResponse(trailers, from, to);
  if (ex.responseForm === Form.raw) return;
  if (ex.responseForm === Form.chunks) {
    if (from === to) return output.stage(downstream, lastChunk, 0, lastChunk.length);
    output.stage(downstream, lastChunkStart, 0, lastChunkStart.length);
  }
  if (to > from) output.stage(downstream, trailers, from, to);
  output.stage(downstream, chunkEnd, 0, 2);
}

function stageChunk(
  output: Staging,
  side: DownstreamSide,
  bytes: Uint8Array,
  { from, to }: { readonly from: number; readonly to: number },
): void {
  if (output.at + CHUNK_LINES > output.out.length) output.flush(side);
  output.at = writeChunkSize(output.out, output.at, to - from);
  output.stage(side, bytes, from, to);
  output.stage(side, chunkEnd, 0, 2);
}
