/** The response head as a downstream that speaks HTTP/2 gets it. */
import { Framing, type MessageHead } from "../../http/message-head.ts";
import type { Stream } from "../../http2/stream.ts";
import { dropOwnAnswers } from "../filter/cors.ts";
import type { Exchange } from "./exchange.ts";
import { webTypeLines } from "./web-response.ts";

/** A final head. */
export function writeResponseBlock(ex: Exchange, stream: Stream, head: MessageHead): void {
  const { blocks } = ex.env.http2;
  if (ex.responseFields !== undefined) dropOwnAnswers(head);
  if (ex.responseEdits !== undefined) ex.responseEdits.drop(head);
  const type = ex.call?.web === undefined ? undefined : webTypeLines(ex, ex.call, head);
  if (!blocks.begin(stream)) return;
  blocks.response(head);
  blocks.fields(head);
  if (ex.responseFields !== undefined) blocks.add(ex.responseFields);
  if (ex.responseEdits !== undefined) blocks.addOnce(ex.responseEdits.lines);
  if (type !== undefined) blocks.add(type);
  const { framing, contentLength } = head;
  blocks.end(framing === Framing.none || (framing === Framing.length && contentLength === 0));
  ex.downstream!.touch();
}

export function writeInterimBlock(ex: Exchange, stream: Stream, head: MessageHead): void {
  const { blocks } = ex.env.http2;
  if (!blocks.begin(stream)) return;
  blocks.response(head);
  blocks.fields(head);
  blocks.end(false);
  ex.downstream!.touch();
}

/** A head that is a status alone. */
export function writeStatusBlock(ex: Exchange, stream: Stream, status: number): void {
  const { blocks } = ex.env.http2;
  if (!blocks.begin(stream)) return;
  blocks.status(status);
  blocks.end(false);
  ex.downstream!.touch();
}
