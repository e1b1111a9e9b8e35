/** What policy is told of an exchange: noted while it is there, handed over when it ends. */

import { parseShortestIpAddress } from "../../attribute/ip-address.ts";
import { copyRange } from "../../core/copy-range.ts";
import type { MessageHead } from "../../http/message-head.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { ServiceName } from "../cluster/service-name.ts";
import { messageOf } from "../grpc/status.ts";
import type { ExchangeFacts } from "../policy/exchange-facts.ts";
import type { ExchangePolicy } from "../policy/exchange-policy.ts";
import { textOf } from "../policy/head-text.ts";
import type { Exchange } from "./exchange.ts";
import { rescan } from "./request-head.ts";

const noClusters: readonly { readonly cluster: Cluster }[] = [];

/** Of a final head, whose octets are gone when the exchange ends. */
export function noteResponse(ex: Exchange, policy: ExchangePolicy, head: MessageHead): void {
  ex.responseHeadBytes = head.end - head.start;
  if (policy.readsGrpcMessage) ex.call?.takeMessage(messageOf(head));
  if (policy.readsResponseHead) ex.responseOctets = head.bytes.slice(head.start, head.end);
}

/** What is known of a request when it arrives; its head is in env.requestHead. */
export function describeRequest(ex: Exchange, policy: ExchangePolicy, facts: ExchangeFacts): void {
  const downstream = ex.downstream!;
  const { edge } = downstream;
  facts.connection = downstream.facts;
  facts.service = serviceOf(ex);
  facts.api = undefined;
  facts.port = downstream.defaultPort;
  facts.startWallMs = ex.env.wallMs - (ex.env.nowMs - ex.startMs);
  facts.isGrpc = ex.call !== undefined;
  facts.fromEdge = edge !== undefined;
  facts.secure = edge?.secure === true;
  facts.originIp = edge !== undefined && policy.readsOrigin ? originOf(ex) : undefined;
}

/** At its end: what follows is told when the turn is over. */
export function reportExchange(ex: Exchange, policy: ExchangePolicy): void {
  if (!policy.reports) return;
  const facts = policy.queue.take();
  if (facts === undefined) return;
  // What an edge makes of a head is told by a scan, and the last one may be of another's.
  const edgeHead = ex.downstream!.edge === undefined ? undefined : rescan(ex);
  describeRequest(ex, policy, facts);
  facts.endpoint = ex.endpoint;
  facts.isOver = true;
  facts.durationMs = ex.env.nowMs - ex.startMs;
  facts.failure = ex.failure;
  facts.status = ex.status;
  facts.requestBytes = ex.requestBytes;
  facts.requestHeadBytes = ex.headEnd - ex.headStart;
  facts.responseBytes = ex.responseBytes;
  facts.responseHeadBytes = ex.responseHeadBytes;
  facts.responseOctets = ex.responseOctets;
  facts.grpcStatus = ex.call?.status ?? -1;
  facts.grpcMessage = ex.call?.message ?? "";
  facts.checkCode = ex.checkCode;
  facts.checkMessage = ex.checkMessage;
  facts.checkCacheHit = ex.checkCacheHit;
  facts.quotaCacheHit = ex.quotaCacheHit;
  if (!policy.readsRequestHead) facts.requestOctetCount = 0;
  else if (edgeHead === undefined) keepRequest(ex, facts);
  else keepBelieved(edgeHead, facts);
  policy.queue.put(facts);
}

function keepRequest(ex: Exchange, facts: ExchangeFacts): void {
  const count = ex.headEnd - ex.headStart;
  if (facts.requestOctets.length < count) facts.requestOctets = new Uint8Array(roomFor(count));
  copyRange.call(ex.bytes, facts.requestOctets, 0, ex.headStart, ex.headEnd);
  facts.requestOctetCount = count;
}

/** Without the fields that a stranger claimed. */
function keepBelieved(head: MessageHead, facts: ExchangeFacts): void {
  const { bytes, start, nameStart, fieldCount, dropped } = head;
  const count = head.end - start;
  if (facts.requestOctets.length < count) facts.requestOctets = new Uint8Array(roomFor(count));
  const octets = facts.requestOctets;
  let at = copyRange.call(bytes, octets, 0, start, nameStart[0]!);
  for (let i = 0; i < fieldCount; i++)
    if (dropped[i] === 0) at += copyRange.call(bytes, octets, at, nameStart[i]!, nameStart[i + 1]!);
  at += copyRange.call(bytes, octets, at, nameStart[fieldCount]!, head.end);
  facts.requestOctetCount = at;
}

function roomFor(count: number): number {
  return Math.max(1_024, count);
}

/** Who is to serve it: who was chosen, else whom its route names, else whom it asked for. */
function serviceOf({ cluster, route, host }: Exchange): ServiceName | undefined {
  if (cluster !== undefined) return cluster.serviceName;
  const action = route?.action;
  const clusters = action?.at === "forward" ? action.clusters.entries : noClusters;
  // Of several it is not known yet which.
  if (clusters.length > 1 && host !== undefined) return host.serviceName;
  return clusters[0]?.cluster.serviceName ?? host?.serviceName;
}

/** Whom an edge believes to be the client. */
function originOf({ env }: Exchange): Uint8Array | undefined {
  const { clientBytes, clientStart, clientEnd } = env.edge;
  return parseShortestIpAddress(textOf(clientBytes, clientStart, clientEnd));
}
