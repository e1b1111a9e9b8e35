/** The head of a response of gRPC as a caller of gRPC-Web gets it. */
import { FieldId } from "../../http/field-id.ts";
import { Framing, type MessageHead } from "../../http/message-head.ts";
import type { Call } from "../grpc/call.ts";
import { contentTypeLine } from "../grpc/web-bridge.ts";
import { encode } from "../route/byte-range.ts";
import type { Exchange } from "./exchange.ts";

/** What a page of another origin has to read of a response that is trailers only. */
export const EXPOSED =
  "access-control-expose-headers: grpc-status,grpc-message,grpc-status-details-bin\r\n";
const exposed = encode(EXPOSED);

/** `ended`: there is no content. Before anything else is decided by the head's framing. */
export function beginWebResponse(call: Call, head: MessageHead, ended: boolean): void {
  const { web } = call;
  if (web === undefined || !call.answered) return;
  web.translates = true;
  // Its content will be longer than it was said to be.
  head.drop(FieldId.contentLength);
  head.framing = ended ? Framing.none : Framing.stream;
}

/** Lines in place of the content-type; undefined: the response passes as it is. */
export function webTypeLines(ex: Exchange, call: Call, head: MessageHead): Uint8Array | undefined {
  if (call.web?.translates !== true) return undefined;
  const type = head.firstOf[FieldId.contentType]!;
  head.drop(FieldId.contentType);
  const from = head.valueStart[type]!;
  const line = contentTypeLine(call.answer, head.bytes, from, head.valueEnd[type]!);
  return ex.responseFields === undefined ? line : Buffer.concat([line, exposed]);
}
