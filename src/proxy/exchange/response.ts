/**
 * What the upstream sends: interim heads, the head, the body, towards the downstream.
 *
 *   head ─(1xx)─▶ head ─▶ body ─▶ done ─▶ finish
 *                   │                ▲
 *                   ├── no body ─────┘
 *                   └── 101, CONNECT ─▶ tunnel
 */
import { type Failure, Failures } from "../../core/failure.ts";
import { FieldId } from "../../http/field-id.ts";
import { Framing } from "../../http/message-head.ts";
import { ChunkEvent } from "../../http1/chunked-decoder.ts";
import { HeadBuffer } from "../../http1/head-buffer.ts";
import { scanResponseHead } from "../../http1/response-head.ts";
import { outcomeStatus, waitMsOf } from "../cluster/outcome.ts";
import { NO_WAIT, pushbackMs } from "../grpc/pushback.ts";
import { type RetryPolicy, retriesCode, retriesStatus } from "../route/retry.ts";
import { retryLater, tryFailed } from "./attempt.ts";
import { writeContent, writeEnd } from "./downstream-writer.ts";
import { type Exchange, Form, Phase } from "./exchange.ts";
import { abortExchange, dropEarlier, dropUpstream, endTry, finishAnswered } from "./finish.ts";
import { noteResponse } from "./report.ts";
import { keptMs, writeInterim, writeResponseHead } from "./response-head.ts";
import { beginTunnel } from "./tunnel.ts";
import { isUnserved } from "./unserved.ts";
import { beginWebResponse } from "./web-response.ts";

const NO_BYTES = new Uint8Array(0);

/** bytes[from, to) from the upstream. */
export function takeResponse(ex: Exchange, bytes: Uint8Array, from: number, to: number): void {
  const { env } = ex;
  const downstream = ex.downstream!;
  env.output.begin(0);
  ex.progressMs = env.nowMs;
  let at = from;
  while (at < to && at >= 0) {
    switch (ex.phase) {
      case Phase.head:
        at = takeHead(ex, bytes, at, to);
        break;
      case Phase.body:
        at = takeBody(ex, bytes, at, to);
        break;
      case Phase.tunnel:
        ex.responseBytes += to - at;
        env.output.stage(downstream, bytes, at, to);
        at = to;
        break;
      case Phase.done:
        // Bytes that answer nothing: whoever sends them is not to be trusted with another request.
        ex.upstreamKeepsAlive = false;
        at = to;
    }
  }
  if (at < 0) return;
  flushResponse(ex);
}

/** What was staged leaves; the exchange may be over on return. */
export function flushResponse(ex: Exchange): void {
  const downstream = ex.downstream!;
  ex.env.output.flush(downstream);
  if (ex.phase === Phase.done) finishAnswered(ex);
  else if (downstream.isFull) ex.upstream?.pause();
}

/** FIN from the upstream: the end of a response that is framed so, or too early. */
export function endResponse(ex: Exchange): void {
  const { env } = ex;
  if (ex.phase === Phase.body && ex.responseFraming === Framing.untilClose) {
    env.output.begin(0);
    writeEnd(ex, NO_BYTES, 0, 0);
    env.output.flush(ex.downstream!);
    ex.phase = Phase.done;
    ex.upstreamKeepsAlive = false;
    finishAnswered(ex);
  } else if (ex.phase === Phase.head) {
    tryFailed(ex, ex.partial === undefined ? Failures.upstreamGone : Failures.upstreamCutShort);
  } else abortExchange(ex, Failures.upstreamGone);
}

/** The offset past what was used; negative: the exchange has ended or is tried again. */
function takeHead(ex: Exchange, bytes: Uint8Array, at: number, to: number): number {
  const head = ex.env.responseHead;
  head.requestMethod = ex.method;
  head.upgradeWasSent = ex.websocket;
  const { partial } = ex;
  if (partial === undefined) {
    const end = scanResponseHead(bytes, at, to, head);
    if (end > 0) return headDone(ex, end, to);
    if (end < 0) return refuse(ex, head.detail);
    ex.partial = new HeadBuffer(ex.env.limits.head);
    return takeHeadPart(ex, ex.partial, bytes, { at, to });
  }
  return takeHeadPart(ex, partial, bytes, { at, to });
}

function takeHeadPart(
  ex: Exchange,
  partial: HeadBuffer,
  bytes: Uint8Array,
  range: { readonly at: number; readonly to: number },
): number {
  const { at, to } = range;
  const next = partial.push(bytes, at, to);
  if (next < 0) return refuse(ex, partial.detail);
  if (!partial.complete) return next;
  ex.partial = undefined;
  const head = ex.env.responseHead;
  const end = scanResponseHead(partial.bytes, 0, partial.length, head);
  if (end <= 0) return refuse(ex, head.detail);
  return headDone(ex, next, to);
}

function refuse(ex: Exchange, detail: string): number {
  ex.detail = detail;
  ex.env.output.begin(0);
  tryFailed(ex, Failures.upstreamBadResponse);
  return -1;
}

/** A head was scanned; body bytes follow from `next` on. */
function headDone(ex: Exchange, next: number, to: number): number {
  const head = ex.env.responseHead;
  if (head.status < 200 && head.status !== 101) return takeInterim(ex) ? next : -1;
  const { framing, contentLength } = head;
  const whole =
    framing === Framing.none || (framing === Framing.length && contentLength === to - next);
  if (!acceptHead(ex, whole && head.keepsAlive)) return -1;
  if (head.has(FieldId.keepAlive)) ex.upstream!.keptMs = keptMs(head);
  switch (framing) {
    case Framing.none:
      ex.phase = Phase.done;
      break;
    case Framing.length:
      ex.responseRemaining = contentLength;
      ex.phase = contentLength === 0 ? Phase.done : Phase.body;
      break;
    case Framing.chunked:
      ex.responseChunks.reset(true, !head.connectionNamesFields);
      ex.phase = Phase.body;
      break;
    case Framing.untilClose:
      ex.phase = Phase.body;
      break;
    case Framing.tunnel:
      ex.env.output.flush(ex.downstream!);
      beginTunnel(ex);
  }
  return next;
}

/**
 * The final head in env.responseHead is passed on; false: it is dropped, since the exchange has
 * ended or is tried again. `reusable`: nothing follows it, and the upstream could answer another.
 */
export function acceptHead(ex: Exchange, reusable: boolean): boolean {
  const { env, cluster, endpoint, call } = ex;
  const head = env.responseHead;
  if (ex.sentMs !== 0) ex.serviceMs = env.nowMs - ex.sentMs;
  call?.takeHead(head);
  const status = call?.endedInTime === false ? head.status : outcomeStatus(head);
  const isWell = status < 500 && status !== 429;
  const waitMs = isWell ? 0 : waitMsOf(head, env.wallMs);
  if (call?.awaitsStatus === true) cluster!.responded(endpoint!, Math.max(0, ex.serviceMs));
  else cluster!.answered(endpoint!, status, Math.max(0, ex.serviceMs), waitMs);
  if (head.status >= 500) {
    const policy = ex.route!.retry;
    if (policy !== undefined && isWorthRetrying(ex, policy) && retryAnswer(ex, reusable, NO_WAIT))
      return false;
  } else if (call !== undefined && retriesCode(call.retryOn, call.status)) {
    if (retryAnswer(ex, reusable, pushbackMs(head))) return false;
  } else if (ex.retrying) cluster!.stats.series.retriesSucceeded.increment();
  if (ex.earlier !== undefined) dropEarlier(ex);
  if (call !== undefined) beginWebResponse(call, head, reusable);
  ex.tryDeadlineMs = 0;
  if (env.policy !== undefined) noteResponse(ex, env.policy, head);
  ex.responseFraming = head.framing;
  ex.upstreamKeepsAlive = head.keepsAlive;
  writeResponseHead(ex, head);
  if (env.output.overflowed) {
    refuse(ex, "response head too large");
    return false;
  }
  ex.status = head.status;
  ex.responded = true;
  return true;
}

export function isWorthRetrying(ex: Exchange, policy: RetryPolicy): boolean {
  const head = ex.env.responseHead;
  return retriesStatus(policy, head.status) || isUnserved(ex, policy, head);
}

/**
 * Drops this answer, to try again after as long as the server asks for, or to wait for an earlier
 * try; false: there is none, so the answer is passed on.
 */
function retryAnswer(ex: Exchange, whole: boolean, waitMs: number): boolean {
  const reusable = whole && ex.requestDone;
  const retries = retryLater(ex, waitMs);
  if (!retries && ex.earlier === undefined) return false;
  const { upstream } = ex;
  if (reusable) ex.upstream = undefined;
  else dropUpstream(ex);
  endTry(ex);
  if (reusable) upstream!.release(ex.env.nowMs);
  ex.acceptsBody = false;
  ex.env.output.begin(0);
  if (!retries) ex.earlier!.at(-1)!.takeUp();
  return true;
}

/** A 1xx in env.responseHead; false: the exchange has ended or is tried again. */
export function takeInterim(ex: Exchange): boolean {
  if (++ex.interims > ex.env.limits.interimMax) {
    refuse(ex, "too many interim responses");
    return false;
  }
  if (ex.minorVersion === 0) return true;
  writeInterim(ex, ex.env.responseHead);
  // The output has room for one head, not for as many as a server may send at once.
  ex.env.output.flush(ex.downstream!);
  return true;
}

function takeBody(ex: Exchange, bytes: Uint8Array, at: number, to: number): number {
  switch (ex.responseFraming) {
    case Framing.length: {
      const end = Math.min(to, at + ex.responseRemaining);
      ex.responseRemaining -= end - at;
      ex.responseBytes += end - at;
      writeContent(ex, bytes, at, end);
      if (ex.responseRemaining === 0) ex.phase = Phase.done;
      return end;
    }
    case Framing.chunked:
      return takeChunks(ex, bytes, at, to);
    default:
      ex.responseBytes += to - at;
      writeContent(ex, bytes, at, to);
      return to;
  }
}

function takeChunks(ex: Exchange, bytes: Uint8Array, at: number, to: number): number {
  const chunks = ex.responseChunks;
  const relays = ex.responseForm === Form.relay;
  let next = at;
  for (;;) {
    next = relays ? chunks.relay(bytes, next, to) : chunks.next(bytes, next, to);
    switch (chunks.event) {
      case ChunkEvent.data:
        ex.responseBytes += chunks.dataEnd - chunks.dataStart;
        writeContent(ex, bytes, chunks.dataStart, chunks.dataEnd);
        break;
      case ChunkEvent.end:
        // The decoder uses its array again; a stream may have to hold them until content has left.
        writeEnd(ex, chunks.trailers.slice(0, chunks.trailersLength), 0, chunks.trailersLength);
        ex.phase = Phase.done;
        return next;
      case ChunkEvent.failed:
        return brokenBody(ex, chunks.failure ?? Failures.upstreamBadResponse);
      default:
        return next;
    }
  }
}

function brokenBody(ex: Exchange, failure: Failure): number {
  ex.env.output.begin(0);
  abortExchange(ex, failure);
  return -1;
}
