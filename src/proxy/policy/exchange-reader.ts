/** The attributes that a proxy knows of requests and of connections: a function for each. */
import type { Timestamp, ValueType } from "../../attribute/value.ts";
import { FieldId } from "../../http/field-id.ts";
import type { MessageHead } from "../../http/message-head.ts";
import type { Reader, Readers } from "./exchange-bag.ts";
import type { CallFacts, ExchangeFacts, RelayedFacts } from "./exchange-facts.ts";
import {
  authorityOf,
  fieldOf,
  methodOf,
  RequestFields,
  ResponseFields,
  targetOf,
} from "./field-map.ts";
import { textOf } from "./head-text.ts";
import { type Add, addWorkloads, always, type ReporterKind } from "./node-reader.ts";
import { QueryMap } from "./query-map.ts";
import type { PolicyNode } from "./workload.ts";

/** Those that are read from a request's head; nobody keeps it where no rule reads one. */
export const requestHeadAttributes: readonly string[] = [
  "request.headers",
  "request.host",
  "request.method",
  "request.path",
  "request.url_path",
  "request.query_params",
  "request.referer",
  "request.useragent",
  "request.id",
];

type Reads<Facts> = Map<string, readonly [ValueType, Reader<Facts>]>;

export function exchangeReaders(node: PolicyNode, kind: ReporterKind): Readers<ExchangeFacts> {
  const readers: Reads<ExchangeFacts> = new Map();
  const add: Add<ExchangeFacts> = (name, type, read) => void readers.set(name, [type, read]);
  addCall(add, node, kind);
  addRequest(add);
  addResponse(add);
  return readers;
}

export function relayReaders(node: PolicyNode, kind: ReporterKind): Readers<RelayedFacts> {
  const readers: Reads<RelayedFacts> = new Map();
  const add: Add<RelayedFacts> = (name, type, read) => void readers.set(name, [type, read]);
  addCall(add, node, kind);
  add("context.protocol", "STRING", always("tcp"));
  add("context.time", "TIMESTAMP", ({ wallMs }) => timestampOf(wallMs));
  add("connection.id", "STRING", ({ id }) => id);
  add("connection.event", "STRING", ({ event }) => event);
  add("connection.received.bytes", "INT64", ({ received }) => received);
  add("connection.received.bytes_total", "INT64", ({ receivedTotal }) => receivedTotal);
  add("connection.sent.bytes", "INT64", ({ sent }) => sent);
  add("connection.sent.bytes_total", "INT64", ({ sentTotal }) => sentTotal);
  const duration: Reader<RelayedFacts> = ({ isOver, durationMs }) =>
    isOver ? nanosOf(durationMs) : undefined;
  add("connection.duration", "DURATION", duration);
  add("connection.requested_server_name", "STRING", ({ serverName }) => serverName || undefined);
  return readers;
}

function addCall(add: Add<CallFacts>, node: PolicyNode, kind: ReporterKind): void {
  addWorkloads(add, node, kind);
  add("source.principal", "STRING", ({ connection }) => connection.principal || undefined);
  add("source.user", "STRING", ({ connection }) => connection.principal || undefined);
  add("connection.mtls", "BOOL", ({ connection }) => connection.isMutual);
  const serverName: Reader<CallFacts> = ({ connection }) => connection.serverName || undefined;
  add("connection.requested_server_name", "STRING", serverName);
  add("context.reporter.kind", "STRING", always(kind));
  add("context.reporter.local", "BOOL", always(kind === "inbound"));
  if (node.id !== "") add("context.reporter.uid", "STRING", always(`kubernetes://${node.id}`));
  add("context.proxy_version", "STRING", always(node.version));
  const errorCode: Reader<CallFacts> = ({ isOver, failure }) =>
    isOver ? (failure?.flag ?? "-") : undefined;
  add("context.proxy_error_code", "STRING", errorCode);
  const checked: Reader<CallFacts> = ({ checkCode }) => (checkCode === -1 ? undefined : checkCode);
  add("check.error_code", "INT64", checked);
  add("check.error_message", "STRING", ({ checkMessage }) => checkMessage || undefined);
  add("check.cache_hit", "BOOL", ({ checkCacheHit }) => checkCacheHit);
}

function addRequest(add: Add<ExchangeFacts>): void {
  const fields = new RequestFields();
  const query = new QueryMap();
  const ofHead = (name: string, read: (head: MessageHead) => string | undefined): void =>
    add(name, "STRING", onceForHead(read));
  add("request.headers", "STRING_MAP", (facts) => {
    const { requestHead } = facts;
    if (requestHead === undefined) return undefined;
    return fields.of(requestHead, facts.fromEdge, facts.requestNumber);
  });
  ofHead("request.host", authorityOf);
  ofHead("request.method", methodOf);
  ofHead("request.path", targetOf);
  ofHead("request.url_path", (head) =>
    head.pathStart === head.pathEnd ? "/" : textOf(head.bytes, head.pathStart, head.pathEnd),
  );
  ofHead("request.referer", (head) => fieldOf(head, FieldId.referer));
  ofHead("request.useragent", (head) => fieldOf(head, FieldId.userAgent));
  ofHead("request.id", (head) => fieldOf(head, FieldId.xRequestId));
  add("request.query_params", "STRING_MAP", ({ requestHead: head }) => {
    if (head === undefined || head.queryStart === -1) return undefined;
    return query.of(textOf(head.bytes, head.queryStart, head.queryEnd));
  });
  add("request.scheme", "STRING", ({ secure }) => (secure ? "https" : "http"));
  add("request.time", "TIMESTAMP", ({ startWallMs }) => timestampOf(startWallMs));
  add("context.time", "TIMESTAMP", ({ startWallMs }) => timestampOf(startWallMs));
  add("quota.cache_hit", "BOOL", ({ quotaCacheHit }) => quotaCacheHit);
  add("context.protocol", "STRING", ({ isGrpc }) => (isGrpc ? "grpc" : "http"));
}

/** Rules mostly ask for the same again. */
function onceForHead(read: (head: MessageHead) => string | undefined): Reader<ExchangeFacts> {
  let number = 0;
  let text: string | undefined;
  return (facts) => {
    const { requestHead } = facts;
    if (requestHead === undefined) return undefined;
    if (facts.requestNumber !== number) {
      text = read(requestHead);
      number = facts.requestNumber;
    }
    return text;
  };
}

function addResponse(add: Add<ExchangeFacts>): void {
  const fields = new ResponseFields();
  const after = (name: string, type: ValueType, read: Reader<ExchangeFacts>): void =>
    add(name, type, (facts) => (facts.isOver ? read(facts) : undefined));
  after("request.size", "INT64", ({ requestBytes }) => requestBytes);
  after("request.total_size", "INT64", (facts) => facts.requestHeadBytes + facts.requestBytes);
  after("response.headers", "STRING_MAP", ({ responseHead }) =>
    responseHead === undefined ? undefined : fields.of(responseHead, false),
  );
  after("response.code", "INT64", ({ status }) => status);
  after("response.size", "INT64", ({ responseBytes }) => responseBytes);
  after("response.total_size", "INT64", (facts) => facts.responseHeadBytes + facts.responseBytes);
  after("response.duration", "DURATION", ({ durationMs }) => nanosOf(durationMs));
  after("response.time", "TIMESTAMP", (facts) => timestampOf(facts.startWallMs + facts.durationMs));
  const grpcStatus: Reader<ExchangeFacts> = (facts) =>
    facts.grpcStatus === -1 ? undefined : String(facts.grpcStatus);
  after("response.grpc_status", "STRING", grpcStatus);
  after("response.grpc_message", "STRING", ({ grpcMessage }) => grpcMessage || undefined);
}

function timestampOf(wallMs: number): Timestamp {
  const seconds = Math.floor(wallMs / 1_000);
  return { seconds, nanos: Math.trunc((wallMs - seconds * 1_000) * 1_000_000) };
}

function nanosOf(ms: number): number {
  return Math.round(ms * 1_000_000);
}
