/** The request head as an upstream that speaks HTTP/2 gets it. */
import { type Failure, Failures } from "../../core/failure.ts";
import { FieldId } from "../../http/field-id.ts";
import type { MessageHead } from "../../http/message-head.ts";
import type { Stream } from "../../http2/stream.ts";
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
  // Says who the peer is; nobody has proved that here, so whoever sent it made it up.
  head.drop(FieldId.xForwardedClientCert);
  if (ex.hopField !== undefined) head.drop(FieldId.maxForwards);
  head.acceptsTrailers = ex.acceptsTrailers;
  if (!blocks.begin(stream)) return Failures.upstreamUnprocessed;
  blocks.request(head, ex.target, rewrite?.authority);
  blocks.fields(head);
  if (ex.hopField !== undefined) blocks.add(ex.hopField);
  if (requestFields.length > 0) blocks.add(requestFields);
  blocks.end(ends);
  ex.upstream!.touch();
  return undefined;
}
