/** Replies of our own: to a failure, by a rule. */
import type { Failure } from "../../core/failure.ts";
import { Framing } from "../../http/message-head.ts";
import { MethodId } from "../../http/method.ts";
import { reasonPhrase } from "../../http/reason-phrase.ts";
import { localReply } from "../../http1/local-reply.ts";
import { After } from "./downstream-side.ts";
import { type Exchange, Phase } from "./exchange.ts";
import { abortExchange, dropUpstream, finish } from "./finish.ts";

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

/** By a route: a redirect, a direct response, a preflight. `fields`: whole lines. */
export function replyRoute(
  ex: Exchange,
  status: number,
  fields: Uint8Array,
  body: Uint8Array,
): void {
  const closing = replyCloses(ex) ? "connection: close\r\n" : "";
  const bodiless = status === 204 || status === 304;
  const framing = bodiless ? "" : `content-length: ${body.length}\r\n`;
  const start = `HTTP/1.1 ${status} ${reasonPhrase(status)}\r\n${closing}${framing}`;
  const parts = [Buffer.from(start, "latin1"), fields, CRLF, bodiless ? NO_BYTES : body];
  replyWith(ex, status, Buffer.concat(parts));
}

function replyReason(ex: Exchange, status: number, reason: string): void {
  const detail = ex.failure?.origin === "upstream" ? ex.detail : "";
  const fields = ex.responseFields;
  const reply = localReply({
    status,
    reason,
    detail,
    closes: replyCloses(ex),
    fields: fields === undefined ? "" : Buffer.from(fields).toString("latin1"),
  });
  replyWith(ex, status, reply);
}

/** Whether the connection cannot go on: the rest of the request is still to come. */
function replyCloses(ex: Exchange): boolean {
  return !ex.keepsAlive || ex.env.draining || !restIsHere(ex);
}

/** Sends a whole reply, made with the knowledge of replyCloses, and ends the exchange. */
function replyWith(ex: Exchange, status: number, reply: Uint8Array): void {
  const downstream = ex.downstream!;
  const closes = replyCloses(ex);
  if (!closes && !ex.requestDone) {
    downstream.inputAt += ex.requestRemaining;
    ex.requestRemaining = 0;
    ex.requestDone = true;
  }
  dropUpstream(ex);
  const head = headLength(reply);
  const length = ex.method === MethodId.head ? head : reply.length;
  ex.status = status;
  ex.responded = true;
  ex.phase = Phase.done;
  ex.responseBytes = length - head;
  downstream.send(reply, 0, length);
  finish(ex, closes ? After.close : After.keep);
}

/** The rest of the request is here already, or there is none. */
function restIsHere(ex: Exchange): boolean {
  if (ex.requestDone) return true;
  const { inputAt, inputEnd, input } = ex.downstream!;
  const here = input === undefined ? 0 : inputEnd - inputAt;
  return ex.requestFraming === Framing.length && ex.requestRemaining <= here;
}

function headLength(reply: Uint8Array): number {
  for (let i = 3; i < reply.length; i++)
    if (reply[i] === 10 && reply[i - 2] === 10 && reply[i - 1] === 13) return i + 1;
  return reply.length;
}

const NO_BYTES = new Uint8Array(0);
const CRLF = new Uint8Array([13, 10]);
