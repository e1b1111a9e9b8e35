/** What remains of an exchange: metrics always, a line in the access log where there is one. */
import { type Failure, Failures } from "../../core/failure.ts";
import { FieldId } from "../../http/field-id.ts";
import type { MessageHead } from "../../http/message-head.ts";
import {
  type AccessRecord,
  RecordText,
  type RecordTextKind,
} from "../../telemetry/access-record.ts";
import type { ConnectionNames } from "../../telemetry/connection-names.ts";
import type { CallStats } from "../cluster/call-stats.ts";
import type { EdgeFields } from "../filter/edge-fields.ts";
import type { Call } from "../grpc/call.ts";
import type { Environment } from "./environment.ts";
import type { Exchange } from "./exchange.ts";

/** As AccessRecord.protocol has it. */
const HTTP2 = 20;

export function recordMetrics(ex: Exchange): void {
  const { endpoint, cluster, generation } = ex;
  const all = endpoint?.stats ?? cluster?.localStats ?? generation?.snapshot.localStats;
  if (all === undefined) return;
  const stats = ex.downstream?.tls === undefined ? all : all.mutual;
  if (ex.call?.isSeen === true) return recordCall(ex, ex.call, stats.calls);
  stats.record(ex.status, ex.failure, ex.env.nowMs - ex.startMs);
  if (ex.requestBytes !== 0 || ex.responseBytes !== 0)
    stats.recordBytes(ex.requestBytes, ex.responseBytes);
}

function recordCall(ex: Exchange, call: Call, stats: CallStats): void {
  const { status, failure } = ex;
  const outcome = { httpStatus: status, grpcStatus: call.status, failure };
  stats.record(outcome, ex.env.nowMs - ex.startMs);
  if (ex.requestBytes !== 0 || ex.responseBytes !== 0)
    stats.recordBytes(ex.requestBytes, ex.responseBytes);
  ex.cluster?.stats.methods.record(call, ex.bytes);
}

/** Notes where the texts of the request are: its head stays as it is until the exchange is over. */
export function beginRecord(ex: Exchange): void {
  ex.record = ex.env.accessLog!.acquire();
  noteRequest(ex, ex.record);
}

/** Its head is another one now. */
export function renewRecord(ex: Exchange): void {
  if (ex.record === undefined) return;
  ex.record.reset();
  noteRequest(ex, ex.record);
}

function noteRequest(ex: Exchange, record: AccessRecord): void {
  const { env } = ex;
  const downstream = ex.downstream!;
  const head = env.requestHead;
  const { bytes, pathEnd, queryEnd } = head;
  record.startMs = env.wallMs;
  record.protocol = downstream.stream === undefined ? head.minorVersion : HTTP2;
  record.text(RecordText.method, bytes, head.start, head.methodEnd);
  record.text(RecordText.path, bytes, head.pathStart, Math.max(pathEnd, queryEnd));
  record.text(RecordText.authority, bytes, head.authorityStart, head.authorityEnd);
  noteField(record, RecordText.userAgent, head, FieldId.userAgent);
  if (downstream.edge === undefined)
    noteField(record, RecordText.forwardedFor, head, FieldId.xForwardedFor);
  else noteClient(record, env.edge, head);
  noteField(record, RecordText.requestId, head, FieldId.xRequestId);
  noteField(record, RecordText.traceParent, head, FieldId.traceparent);
  record.downstream = downstream.names;
  record.requestedServerName = downstream.edge?.tls?.serverName ?? "";
}

/** Whom the edge believes to be the client; without proxies in front that is the peer. */
function noteClient(record: AccessRecord, edge: EdgeFields, { bytes }: MessageHead): void {
  if (edge.clientBytes === bytes)
    record.text(RecordText.forwardedFor, bytes, edge.clientStart, edge.clientEnd);
}

function noteField(
  record: AccessRecord,
  kind: RecordTextKind,
  head: MessageHead,
  id: FieldId,
): void {
  const field = head.firstOf[id]!;
  if (field !== -1) record.text(kind, head.bytes, head.valueStart[field]!, head.valueEnd[field]!);
}

export function writeRecord(ex: Exchange): void {
  const { env, record, endpoint } = ex;
  if (record === undefined) return;
  record.durationMs = env.nowMs - ex.startMs;
  record.status = ex.status;
  record.bytesReceived = ex.requestBytes;
  record.bytesSent = ex.responseBytes;
  record.upstreamServiceMs = ex.serviceMs;
  record.attempts = ex.attempts;
  record.grpcStatus = ex.call?.status ?? -1;
  record.failure = ex.failure ?? remarkOf(ex);
  if (ex.failure === undefined)
    record.details = ex.attempts > 0 ? "via_upstream" : "direct_response";
  else if (ex.failure.flag === "UAEX") record.details = ex.detail;
  else if (ex.failure.flag === "UF") record.upstreamTransportFailure = transportFailure(ex);
  record.upstreamCluster = ex.cluster?.name ?? "";
  record.upstreamHost = endpoint?.authority ?? "";
  record.routeName = ex.route?.name ?? "";
  ex.record = undefined;
  env.accessLog?.write(record);
}

/** What went well all the same. */
function remarkOf({ delayed, hedged }: Exchange): Failure | undefined {
  if (delayed) return Failures.faultDelay;
  return hedged ? Failures.hedged : undefined;
}

/** "tls-untrusted: CERT_HAS_EXPIRED"; what there is to say of plain TCP is in its one word. */
function transportFailure({ failure, detail, transportDetail }: Exchange): string {
  const more = failure === Failures.upstreamTls && transportDetail !== "";
  return more ? `${detail}: ${transportDetail}` : detail;
}

/** A request that was refused before it had an exchange. */
export function recordRefusal(
  env: Environment,
  peer: { readonly names: ConnectionNames },
  failure: Failure,
  detail: string,
): void {
  env.generations.current.snapshot.localStats.record(failure.http, failure, 0);
  const { accessLog } = env;
  if (accessLog === undefined) return;
  const record = accessLog.acquire();
  record.startMs = env.wallMs;
  record.status = failure.http;
  record.failure = failure;
  record.details = detail;
  record.downstream = peer.names;
  accessLog.write(record);
}
