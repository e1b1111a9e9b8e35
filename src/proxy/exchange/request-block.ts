/** The request head as an upstream that speaks HTTP/2 gets it. */
import { type Failure, Failures } from "../../core/failure.ts";
import { FieldId } from "../../http/field-id.ts";
import type { MessageHead } from "../../http/message-head.ts";
import type { Stream } from "../../http2/stream.ts";
import { CallKind } from "../grpc/media-type.ts";
import { contentTypeLine, type WebBridge } from "../grpc/web-bridge.ts";
import { peerLine } from "../identity/peer-line.ts";
import { timeLeftLine } from "./call-rules.ts";
import type { Exchange } from "./exchange.ts";

/** `ends`: there is no content. */
export function writeRequestBlock(
  ex: Exchange,
  stream: Stream,
  head: MessageHead,
  ends: boolean,
): Failure | undefined {
  const { blocks } = ex.env.http2;
  const { requestFields, rewrite } = ex.route!;
  if (ex.websocket && !ex.upstream!.takesWebsocket) return Failures.upgradeRefused;
  const fromEdge = ex.downstream!.edge !== undefined;
  if (ex.hopField !== undefined) head.drop(FieldId.maxForwards);
  const { call } = ex;
  head.acceptsTrailers = ex.acceptsTrailers || call !== undefined;
  const left = call === undefined ? undefined : timeLeftLine(ex, call);
  if (left !== undefined) head.drop(FieldId.grpcTimeout);
  const type = call?.web === undefined ? undefined : beginBridge(call.web, head);
  if (!blocks.begin(stream)) return Failures.upstreamUnprocessed;
  blocks.request(head, ex.target, rewrite?.authority);
  blocks.fields(head);
  if (ex.hopField !== undefined) blocks.add(ex.hopField);
  if (fromEdge) blocks.addOnce(ex.env.edge.out, ex.env.edge.length);
  else if (ex.env.tellsPeers) {
    const line = peerLine(ex.downstream!.tls);
    if (line !== undefined) blocks.addOnce(line);
  }
  if (requestFields.length > 0) blocks.add(requestFields);
  if (left !== undefined) blocks.addOnce(left);
  if (type !== undefined) blocks.add(type);
  blocks.end(ends);
  ex.upstream!.touch();
  return undefined;
}

/** gRPC-Web on its way to gRPC: the line of the type that it has there. */
function beginBridge(web: WebBridge, head: MessageHead): Uint8Array {
  web.beginTry();
  head.drop(FieldId.contentType);
  if (web.hasTextRequest) head.drop(FieldId.contentLength);
  const type = head.firstOf[FieldId.contentType]!;
  return contentTypeLine(CallKind.grpc, head.bytes, head.valueStart[type]!, head.valueEnd[type]!);
}
