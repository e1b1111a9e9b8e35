/**
 * Hedging: a try whose time has passed is not given up, but waits beside the next one. The first
 * good head wins, and all others are reset; a bad one only ends its own try.
 *
 *   try 1 ──── its time passes ──▶ waits ── good head ─▶ the exchange's try again ─▶ response
 *                   │                 ├──── bad head, reset, FIN ─▶ gone
 *                   ▼                 └──── the exchange has an answer ─▶ gone
 *                try 2 ─ ... when it is lost and no other may follow, try 1 is taken up again
 *
 * Each is a retry to the limits and budget of the cluster. Only a request that is complete, and
 * can be sent once more, is hedged.
 */
import type { Failure } from "../../core/failure.ts";
import type { MessageHead } from "../../http/message-head.ts";
import { isIdempotent } from "../../http/method.ts";
import { HeadBuffer } from "../../http1/head-buffer.ts";
import { scanResponseHead } from "../../http1/response-head.ts";
import type { Endpoint } from "../cluster/endpoint.ts";
import { outcomeStatus } from "../cluster/outcome.ts";
import { statusOf } from "../grpc/status.ts";
import { type RetryPolicy, retriesCode } from "../route/retry.ts";
import { UpstreamConnection } from "../upstream/connection.ts";
import type { UpstreamSide } from "../upstream/upstream-side.ts";
import { UpstreamStream, type UpstreamStreamUser } from "../upstream/upstream-stream.ts";
import { isReplayable, runTry } from "./attempt.ts";
import { type EarlierTry, type Exchange, Phase, Wake } from "./exchange.ts";
import { dropUpstream, endRetry, endTry } from "./finish.ts";
import { isWorthRetrying } from "./response.ts";
import { armTimer } from "./timing.ts";

/** The time of the try has passed. True: it goes on, with another beside it if there may be one. */
export function hedges(ex: Exchange): boolean {
  const policy = ex.route?.retry;
  if (policy === undefined || policy.hedge === undefined || !mayHedge(ex, policy)) return false;
  const cluster = ex.cluster!;
  cluster.failedLocally(ex.endpoint!, true);
  ex.tryDeadlineMs = 0;
  if (ex.retriesLeft <= 0 || !cluster.limits.tryAcquireRetry(ex.endpoint)) {
    armTimer(ex);
    return true;
  }
  const one = new HedgedTry(ex);
  if (ex.earlier === undefined) ex.earlier = [one];
  else ex.earlier.push(one);
  cluster.stats.hedgeSeries.hedges.increment();
  ex.hedged = true;
  ex.retriesLeft--;
  ex.retrying = true;
  ex.retriedEndpoint = ex.endpoint;
  runTry(ex);
  return true;
}

function mayHedge(ex: Exchange, policy: RetryPolicy): boolean {
  const isSent = ex.upstream !== undefined && !ex.pending && ex.requestDone;
  const isSilent = ex.phase === Phase.head && ex.partial === undefined;
  if (!isSent || !isSilent || ex.websocket || ex.connects) return false;
  // What is translated has state of its own.
  if (ex.call?.web !== undefined || !isReplayable(ex)) return false;
  return policy.hedge === "all" || isIdempotent(ex.method);
}

class HedgedTry implements EarlierTry, UpstreamStreamUser {
  readonly #ex: Exchange;
  readonly #upstream: UpstreamSide;
  readonly #endpoint: Endpoint;
  readonly #sentMs: number;
  readonly #reused: boolean;
  /** It holds a place among the retries of its own. */
  readonly #retrying: boolean;
  readonly #retriedEndpoint: Endpoint | undefined;
  readonly #partial: HeadBuffer;
  #interims = 0;
  #isOver = false;

  /** Takes the try under way from the exchange, with all that it holds. */
  constructor(ex: Exchange) {
    this.#ex = ex;
    this.#upstream = ex.upstream!;
    this.#endpoint = ex.endpoint!;
    this.#sentMs = ex.sentMs;
    this.#reused = ex.reused;
    this.#retrying = ex.retrying;
    this.#retriedEndpoint = ex.retriedEndpoint;
    this.#partial = new HeadBuffer(ex.env.limits.head, true);
    handTo(this.#upstream, this);
    ex.upstream = undefined;
    ex.trying = false;
    ex.retrying = false;
    ex.retriedEndpoint = undefined;
    ex.acceptsBody = false;
  }

  takeUp(): void {
    const ex = this.#ex;
    this.#leave();
    ex.upstream = this.#upstream;
    ex.endpoint = this.#endpoint;
    ex.sentMs = this.#sentMs;
    ex.reused = this.#reused;
    ex.trying = true;
    endRetry(ex);
    ex.retrying = this.#retrying;
    ex.retriedEndpoint = this.#retriedEndpoint;
    ex.phase = Phase.head;
    ex.partial = this.#partial.length > 0 ? this.#partial : undefined;
    ex.upstreamKeepsAlive = true;
    ex.tryDeadlineMs = 0;
    ex.wakeMs = 0;
    ex.wake = Wake.nothing;
    handTo(this.#upstream, ex);
    armTimer(ex);
  }

  abandon(): void {
    if (this.#isOver) return;
    this.#upstream.discard();
    this.#giveBack();
  }

  upstreamData(bytes: Uint8Array, from: number, to: number): void {
    const ex = this.#ex;
    const { env } = ex;
    env.tick();
    const head = env.responseHead;
    const partial = this.#partial;
    for (let at = from; at < to; ) {
      at = partial.push(bytes, at, to);
      if (at < 0) return this.#fail();
      if (!partial.complete) return;
      head.requestMethod = ex.method;
      head.upgradeWasSent = false;
      if (scanResponseHead(partial.bytes, 0, partial.length, head) <= 0) return this.#fail();
      if (head.status >= 200) {
        if (!this.#wins(head)) return;
        const all = Buffer.concat([
          partial.bytes.subarray(0, partial.length),
          bytes.subarray(at, to),
        ]);
        return ex.upstreamData(all, 0, all.length);
      }
      partial.clear();
      if (++this.#interims > env.limits.interimMax) return this.#fail();
    }
  }

  upstreamHead(head: MessageHead, ended: boolean): void {
    this.#ex.env.tick();
    if (this.#wins(head)) this.#ex.upstreamHead(head, ended);
  }

  upstreamEnded(): void {
    this.#fail();
  }

  upstreamClosed(): void {
    this.#lose();
  }

  upstreamReset(_failure: Failure): void {
    this.#lose();
  }

  upstreamFailed(): void {
    this.#lose();
  }

  upstreamOpened(): void {}
  upstreamDrained(): void {}
  upstreamVacancy(): void {}
  upstreamInterim(): void {}
  upstreamContent(): void {}
  upstreamComplete(): void {}

  /** A final head is in env.responseHead. False: it is worth no more than none. */
  #wins(head: MessageHead): boolean {
    const ex = this.#ex;
    if (isBad(ex, head)) {
      ex.cluster!.answered(this.#endpoint, outcomeStatus(head), ex.env.nowMs - this.#sentMs, 0);
      this.#fail();
      return false;
    }
    ex.cluster!.stats.hedgeSeries.won.increment();
    this.#leave();
    dropUpstream(ex);
    endTry(ex);
    this.takeUp();
    // The head comes to the exchange whole.
    ex.partial = undefined;
    return true;
  }

  #fail(): void {
    this.#upstream.discard();
    this.#lose();
  }

  /** There is no connection any more; the exchange has another try. */
  #lose(): void {
    if (this.#isOver) return;
    this.#leave();
    this.#giveBack();
  }

  #giveBack(): void {
    const { cluster } = this.#ex;
    this.#isOver = true;
    cluster!.limits.releaseRequest();
    cluster!.end(this.#endpoint);
    if (this.#retrying) cluster!.limits.releaseRetry(this.#retriedEndpoint);
  }

  /** It does not wait beside any more. */
  #leave(): void {
    const ex = this.#ex;
    const at = ex.earlier?.indexOf(this) ?? -1;
    if (at !== -1) ex.earlier!.splice(at, 1);
    if (ex.earlier?.length === 0) ex.earlier = undefined;
  }
}

/** The route would rather try again than pass it on. */
function isBad(ex: Exchange, head: MessageHead): boolean {
  const policy = ex.route!.retry!;
  if (head.status >= 500) return isWorthRetrying(ex, policy);
  return ex.call !== undefined && retriesCode(ex.call.retryOn, statusOf(head));
}

/** Who hears of what comes from there from now on. */
function handTo(upstream: UpstreamSide, user: UpstreamStreamUser): void {
  if (upstream instanceof UpstreamStream) upstream.handTo(user);
  else if (upstream instanceof UpstreamConnection) upstream.user = user;
}
