/**
 * Replies of our own: to a failure, by a rule; in the codec of the downstream. Whoever calls gRPC
 * is told in its own terms: trailers only, with a grpc-status.
 */
import { bytesOfText } from "../../attribute/byte-text.ts";
import type { Failure } from "../../core/failure.ts";
import { Framing } from "../../http/message-head.ts";
import { MethodId } from "../../http/method.ts";
import { reasonPhrase } from "../../http/reason-phrase.ts";
import { printable, replyParts } from "../../http1/local-reply.ts";
import type { AccessRefusal } from "../access/access-step.ts";
import type { Call } from "../grpc/call.ts";
import { codeOfHttp } from "../grpc/status.ts";
import type { Denial } from "../policy/denial.ts";
import { After } from "./downstream-side.ts";
import { type Exchange, Phase } from "./exchange.ts";
import { abortExchange, dropUpstream, finish } from "./finish.ts";
import { type GrpcReply, grpcCode, grpcReply, saidOf } from "./grpc.ts";

interface Reply {
  readonly status: number;
  /** Whole lines. */
  readonly lines: Uint8Array;
  readonly body: Uint8Array;
}

const NO_BYTES = new Uint8Array(0);
const CRLF = new Uint8Array([13, 10]);

/** Ends the exchange with the failure's status and reason; with less where it is too late. */
export function replyFailure(ex: Exchange, failure: Failure): void {
  if (ex.responded || failure.http === 0) return abortExchange(ex, failure);
  ex.failure = failure;
  replyReason(ex, failure.http, failure.reason);
}

/** A rule did it: its name stands beside the reason. */
export function replyRule(ex: Exchange, failure: Failure, status: number): void {
  ex.failure = failure;
  ex.detail = ex.route?.name ?? "";
  replyReason(ex, status, ex.detail === "" ? failure.reason : `${failure.reason}; ${ex.detail}`);
}

/** Policy did it: the rule's name stands beside the reason, and the text is the handler's. */
export function replyDenied(ex: Exchange, denial: Denial): void {
  const { failure, status, code, rule, message, body, contentType } = denial;
  ex.failure = failure;
  ex.detail = rule;
  const reason = rule === "" ? failure.reason : `${failure.reason}; ${rule}`;
  if (ex.call !== undefined)
    return replyCall(ex, ex.call, { failure, status, reason, detail: "", code, message });
  const content = status === 204 || status === 304 ? NO_BYTES : bytesOfText(body);
  const type = contentType === "" || content.length === 0 ? "" : `content-type: ${contentType}\r\n`;
  const about = `x-mesh-reason: ${printable(reason)}\r\n${type}`;
  const length = status === 204 || status === 304 ? "" : `content-length: ${content.length}\r\n`;
  const lines = bytesOfText(`${about}${length}${denial.lines}`);
  replyWith(ex, { status, lines, body: content });
}

/** Who called may not: the standard text and nothing about why, which `detail` says to the log. */
export function replyRefused(
  ex: Exchange,
  refusal: AccessRefusal,
  { id, detail }: { readonly id: string; readonly detail: string },
): void {
  const { failure, contentType } = refusal;
  const status = refusal.status === 0 ? failure.http : refusal.status;
  ex.failure = failure;
  ex.detail = detail;
  const reason = failure.reason;
  const fields = `x-request-id: ${id}\r\n`;
  if (ex.call !== undefined) {
    const code = refusal.status === 0 ? failure.grpc : codeOfHttp(status);
    const said = { failure, status, reason, detail: "", code, message: refusal.body };
    return replyCall(ex, ex.call, said, bytesOfText(`${fields}${refusal.lines}`));
  }
  const bodiless = status === 204 || status === 304;
  const content = bodiless ? NO_BYTES : bytesOfText(refusal.body);
  const saysType = content.length === 0 || /^content-type:/im.test(refusal.lines);
  const type = saysType ? "" : `content-type: ${contentType || "text/plain"}\r\n`;
  const length = bodiless ? "" : `content-length: ${content.length}\r\n`;
  const lines = bytesOfText(`${fields}${type}${length}${refusal.lines}`);
  replyWith(ex, { status, lines, body: content });
}

/** By a route: a redirect, a direct response, a preflight. `fields`: whole lines. */
export function replyRoute(
  ex: Exchange,
  status: number,
  fields: Uint8Array,
  body: Uint8Array,
): void {
  const bodiless = status === 204 || status === 304;
  const length = bodiless ? "" : `content-length: ${body.length}\r\n`;
  const lines = Buffer.concat([Buffer.from(length, "latin1"), fields]);
  replyWith(ex, { status, lines, body: bodiless ? NO_BYTES : body });
}

function replyReason(ex: Exchange, status: number, reason: string): void {
  const detail = ex.failure?.origin === "upstream" ? ex.detail : "";
  const fields = ex.responseFields ?? NO_BYTES;
  const { call } = ex;
  if (call !== undefined)
    return replyCall(ex, call, { failure: ex.failure, status, reason, detail }, fields);
  const { lines, body } = replyParts({ status, reason, detail });
  replyWith(ex, { status, lines: withFields(lines, fields), body: Buffer.from(body, "latin1") });
}

function replyCall(
  ex: Exchange,
  call: Call,
  reply: GrpcReply,
  fields: Uint8Array = NO_BYTES,
): void {
  call.takeReply(grpcCode(reply));
  call.takeMessage(saidOf(reply));
  const length = ex.downstream!.stream === undefined ? "content-length: 0\r\n" : "";
  const lines = withFields(`${length}${grpcReply(call, reply)}`, fields);
  replyWith(ex, { status: 200, lines, body: NO_BYTES });
}

function withFields(lines: string, fields: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(lines, "latin1"), fields]);
}

/** Whether the connection cannot go on: the rest of the request is still to come. */
function replyCloses(ex: Exchange): boolean {
  return !ex.keepsAlive || ex.env.draining || ex.downstream!.retiring || !restIsHere(ex);
}

/** Sends a whole reply, and ends the exchange. */
function replyWith(ex: Exchange, said: Reply): void {
  const edits = ex.responseEdits;
  const reply =
    edits === undefined ? said : { ...said, lines: Buffer.concat([said.lines, edits.lines]) };
  const bodiless = ex.method === MethodId.head;
  ex.status = reply.status;
  ex.responseBytes = bodiless ? 0 : reply.body.length;
  const closes = replyCloses(ex);
  if (!closes && !ex.requestDone && ex.downstream!.stream === undefined) {
    ex.downstream!.inputAt += ex.requestRemaining;
    ex.requestRemaining = 0;
    ex.requestDone = true;
  }
  dropUpstream(ex);
  ex.responded = true;
  ex.phase = Phase.done;
  if (ex.downstream!.stream === undefined) sendBytes(ex, reply, closes);
  else sendBlock(ex, reply);
  finish(ex, closes ? After.close : After.keep);
}

function sendBytes(ex: Exchange, { status, lines, body }: Reply, closes: boolean): void {
  const closing = closes ? "connection: close\r\n" : "";
  const start = Buffer.from(`HTTP/1.1 ${status} ${reasonPhrase(status)}\r\n${closing}`, "latin1");
  const content = ex.method === MethodId.head ? NO_BYTES : body;
  const bytes = Buffer.concat([start, lines, CRLF, content]);
  ex.downstream!.send(bytes, 0, bytes.length);
}

function sendBlock(ex: Exchange, { status, lines, body }: Reply): void {
  const downstream = ex.downstream!;
  const { blocks } = ex.env.http2;
  const hasBody = body.length > 0 && ex.method !== MethodId.head;
  if (!blocks.begin(downstream.stream!)) return;
  blocks.status(status);
  blocks.add(lines);
  blocks.end(!hasBody);
  downstream.touch();
  if (hasBody) downstream.send(body, 0, body.length);
  downstream.endResponse(NO_BYTES, 0, 0);
}

/** The rest of the request is here already, or there is none. */
function restIsHere(ex: Exchange): boolean {
  if (ex.requestDone || ex.downstream!.stream !== undefined) return true;
  const { inputAt, inputEnd, input } = ex.downstream!;
  const here = input === undefined ? 0 : inputEnd - inputAt;
  return ex.requestFraming === Framing.length && ex.requestRemaining <= here;
}
