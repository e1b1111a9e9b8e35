/** The response head as the downstream gets it. */

import { FieldId } from "../../http/field-id.ts";
import { Framing, type MessageHead } from "../../http/message-head.ts";
import { MethodId } from "../../http/method.ts";
import { dropOwnAnswers } from "../filter/cors.ts";
import { type Exchange, Form } from "./exchange.ts";
import { rescan } from "./request-head.ts";
import { writeInterimBlock, writeResponseBlock } from "./response-block.ts";
import { webTypeLines } from "./web-response.ts";
import { websocketAcceptLine } from "./websocket-key.ts";

/** Stages the head and decides how the body is framed for this downstream. */
export function writeResponseHead(ex: Exchange, head: MessageHead): void {
  const { output, draining } = ex.env;
  const { stream } = ex.downstream!;
  if (stream !== undefined) return writeResponseBlock(ex, stream, head);
  const dechunks = head.framing === Framing.chunked && ex.minorVersion === 0;
  if (dechunks) head.drop(FieldId.transferEncoding);
  if (ex.responseFields !== undefined) dropOwnAnswers(head);
  if (ex.responseEdits !== undefined) ex.responseEdits.drop(head);
  const type = ex.call?.web === undefined ? undefined : webTypeLines(ex, ex.call, head);
  output.response(head);
  output.fields(head);
  if (ex.responseFields !== undefined) output.add(ex.responseFields);
  if (ex.responseEdits !== undefined) output.add(ex.responseEdits.lines);
  if (type !== undefined) output.add(type);
  if (ex.websocket && head.status === 101) {
    output.upgrade();
    if (ex.upstream?.stream !== undefined) output.add(websocketAcceptLine(rescan(ex)));
  }
  switch (head.framing) {
    case Framing.chunked:
      if (dechunks) ex.closes = true;
      else ex.responseForm = Form.relay;
      break;
    case Framing.untilClose:
      if (ex.minorVersion === 1) {
        output.chunked();
        ex.responseForm = Form.chunks;
      } else ex.closes = true;
      break;
    case Framing.stream:
      if (ex.minorVersion === 1) {
        output.chunked();
        ex.responseForm = Form.chunks;
      } else ex.closes = true;
      break;
    case Framing.none:
      if (ex.upstream?.stream !== undefined && hasEmptyContent(ex, head)) output.contentLength(0);
      break;
    case Framing.tunnel:
      output.end();
      return;
    default:
  }
  // An answer before the end of the request is nearly always a refusal of the rest.
  if (!ex.requestDone && head.status >= 300) ex.closes = true;
  if (!ex.keepsAlive || ex.closes || draining || ex.downstream!.retiring) {
    ex.closes = true;
    output.close();
  }
  output.end();
}

/** A stream ends without saying how long; a connection that goes on has to be told. */
function hasEmptyContent(ex: Exchange, head: MessageHead): boolean {
  const { status } = head;
  if (ex.method === MethodId.head || status === 204 || status === 304) return false;
  return !head.has(FieldId.contentLength);
}

/** 100, 102, 103: passed on as it came. */
export function writeInterim(ex: Exchange, head: MessageHead): void {
  const { output } = ex.env;
  const { stream } = ex.downstream!;
  if (stream !== undefined) return writeInterimBlock(ex, stream, head);
  output.response(head);
  output.fields(head);
  output.end();
}

/** What the server says of its idle connections ("Keep-Alive: timeout=5"); 0: nothing. */
export function keptMs(head: MessageHead): number {
  const field = head.firstOf[FieldId.keepAlive]!;
  if (field === -1) return 0;
  const seconds = /(?:^|[,; ])timeout=(\d{1,6})(?:$|[,; ])/i.exec(head.valueText(field))?.[1];
  return seconds === undefined ? 0 : Number(seconds) * 1_000;
}
