/** The request as the upstream gets it: head with edits, then what of the body is here already. */
import { type Failure, Failures } from "../../core/failure.ts";
import { FieldId } from "../../http/field-id.ts";
import { Framing, type MessageHead } from "../../http/message-head.ts";
import type { HeadWriter } from "../../http1/head-writer.ts";
import { scanRequestHead } from "../../http1/request-head.ts";
import { hideClaims, hideClientCert } from "../filter/edge-fields.ts";
import { dropOverrides } from "../filter/override.ts";
import { peerLine } from "../identity/peer-line.ts";
import { timeLeftLine } from "./call-rules.ts";
import { type Exchange, Form, Phase } from "./exchange.ts";
import { writeRequestBlock } from "./request-block.ts";
import { takeBody } from "./request-body.ts";
import { resendContent } from "./upstream-writer.ts";
import { websocketKeyLine } from "./websocket-key.ts";

const HOST = new TextEncoder().encode("host: ");
const CRLF = new TextEncoder().encode("\r\n");

/** The head of this exchange's request: still there from its arrival, or scanned once more. */
export function rescan(ex: Exchange): MessageHead {
  const { env } = ex;
  if (env.scannedFor !== ex) {
    scanRequestHead(ex.bytes, ex.headStart, ex.headEnd, env.requestHead);
    dropOverrides(env.requestHead);
    hideUnproven(ex, env.requestHead);
    env.scannedFor = ex;
  }
  return env.requestHead;
}

/**
 * What a stranger says of himself, or of whom he speaks for: nobody routes, judges or reports by
 * it. Once after each scan of a head, in the same way.
 */
export function hideUnproven(ex: Exchange, head: MessageHead): void {
  const { edge } = ex.downstream!;
  if (edge === undefined) return hideClientCert(head);
  ex.env.edge.apply(head, edge, ex.generation!.snapshot.settings.edge);
  hideClaims(head);
}

/** Sends the request over ex.upstream. */
export function sendRequest(ex: Exchange): Failure | undefined {
  const { env } = ex;
  const upstream = ex.upstream!;
  const { output } = env;
  output.begin(0);
  const failure = writeHead(ex, rescan(ex));
  if (failure !== undefined) return failure;
  ex.phase = Phase.head;
  ex.upstreamKeepsAlive = true;
  resendContent(ex);
  if (ex.requestDone) ex.sentMs = env.nowMs;
  else {
    ex.acceptsBody = !ex.websocket;
    const malformed = takeBody(ex);
    if (malformed === Failures.badWebContent) return malformed;
  }
  output.flush(upstream);
  if (upstream.isFull) ex.downstream!.pause();
  return undefined;
}

function writeHead(ex: Exchange, head: MessageHead): Failure | undefined {
  const { output } = ex.env;
  const { stream } = ex.upstream!;
  if (stream !== undefined) {
    ex.requestForm = Form.raw;
    return writeRequestBlock(ex, stream, head, ex.requestDone && !ex.bodySent && !ex.websocket);
  }
  ex.requestForm = formOf(ex);
  writeRequestHead(ex, output, head);
  if (output.end() >= 0) return undefined;
  output.begin(0);
  return Failures.headTooLarge;
}

/** How HTTP/1.1 gets what came in this framing. */
function formOf({ requestFraming, copyIsStream }: Exchange): Form {
  if (requestFraming === Framing.chunked) return copyIsStream ? Form.chunks : Form.relay;
  return requestFraming === Framing.stream ? Form.chunks : Form.raw;
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
  const fromEdge = ex.downstream!.edge !== undefined;
  if (ex.hopField !== undefined) head.drop(FieldId.maxForwards);
  const left = ex.call === undefined ? undefined : timeLeftLine(ex, ex.call);
  if (left !== undefined) head.drop(FieldId.grpcTimeout);
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
  if (left !== undefined) output.add(left);
  if (fromEdge) output.addRange(ex.env.edge.out, 0, ex.env.edge.length);
  else if (ex.env.tellsPeers) {
    const line = peerLine(ex.downstream!.tls);
    if (line !== undefined) output.add(line);
  }
  if (requestFields.length > 0) output.add(requestFields);
  if (ex.requestFraming === Framing.stream) output.chunked();
  if (!ex.websocket) return;
  output.upgrade();
  if (ex.downstream!.stream !== undefined) output.add(websocketKeyLine());
}
