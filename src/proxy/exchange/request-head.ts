/** The request as the upstream gets it: head with edits, then what of the body is here already. */
import { type Failure, Failures } from "../../core/failure.ts";
import { FieldId } from "../../http/field-id.ts";
import type { MessageHead } from "../../http/message-head.ts";
import type { HeadWriter } from "../../http1/head-writer.ts";
import { scanRequestHead } from "../../http1/request-head.ts";
import { dropOverrides } from "../filter/override.ts";
import { type Exchange, Phase } from "./exchange.ts";
import { takeBody } from "./request-body.ts";

const HOST = new TextEncoder().encode("host: ");
const CRLF = new TextEncoder().encode("\r\n");

/** The head of this exchange's request: still there from its arrival, or scanned once more. */
export function rescan(ex: Exchange): MessageHead {
  const { env } = ex;
  if (env.scannedFor !== ex) {
    scanRequestHead(ex.bytes, ex.headStart, ex.headEnd, env.requestHead);
    dropOverrides(env.requestHead);
    env.scannedFor = ex;
  }
  return env.requestHead;
}

/** Sends the request over ex.upstream. */
export function sendRequest(ex: Exchange): Failure | undefined {
  const { env, replay } = ex;
  const upstream = ex.upstream!;
  const { output } = env;
  output.begin(0);
  writeRequestHead(ex, output, rescan(ex));
  if (output.end() < 0) {
    output.begin(0);
    return Failures.headTooLarge;
  }
  ex.phase = Phase.head;
  ex.upstreamKeepsAlive = true;
  if (replay !== undefined && replay.length > 0)
    output.stage(upstream, replay.bytes, 0, replay.length);
  if (ex.requestDone) ex.sentMs = env.nowMs;
  else {
    ex.acceptsBody = !ex.websocket;
    takeBody(ex);
  }
  output.flush(upstream);
  if (upstream.isFull) ex.downstream!.pause();
  return undefined;
}

/** Everything but the empty line. The Host of a mirrored request is changed by its caller. */
export function writeRequestHead(ex: Exchange, output: HeadWriter, head: MessageHead): void {
  const { requestFields, rewrite } = ex.route!;
  const authority = rewrite?.authority;
  const hasHost = head.has(FieldId.host);
  if (authority !== undefined) {
    // Or the request line brings one. It is undone below: a scan forgets only what it found itself.
    if (!hasHost) head.firstOf[FieldId.host] = 0;
    else head.drop(FieldId.host);
    ex.env.scannedFor = undefined;
  }
  // Says who the peer is; nobody has proved that here, so whoever sent it made it up.
  head.drop(FieldId.xForwardedClientCert);
  if (ex.hopField !== undefined) head.drop(FieldId.maxForwards);
  if (ex.target === undefined) output.request(head);
  else output.requestTo(head, ex.target);
  if (!hasHost) head.firstOf[FieldId.host] = -1;
  output.fields(head);
  if (authority !== undefined) {
    output.add(HOST);
    output.add(authority);
    output.add(CRLF);
  }
  if (ex.hopField !== undefined) output.add(ex.hopField);
  if (requestFields.length > 0) output.add(requestFields);
  if (ex.websocket) output.upgrade();
}
