/** The end of a try, and of an exchange: everything taken is given back, and it is recorded. */
import { type Failure, Failures } from "../../core/failure.ts";
import { Framing } from "../../http/message-head.ts";
import { endCall } from "./call-end.ts";
import { After } from "./downstream-side.ts";
import { type Exchange, Phase } from "./exchange.ts";
import { recordMetrics, writeRecord } from "./record.ts";
import { reportExchange } from "./report.ts";

/** However the try ended: its places in the cluster are free. */
export function endTry(ex: Exchange): void {
  const { cluster } = ex;
  if (cluster === undefined) return;
  if (ex.pending) {
    ex.pending = false;
    cluster.limits.releasePending(ex.endpoint);
    ex.env.pools.waiting.remove(cluster.limits.usage, ex);
  }
  if (!ex.trying) return;
  ex.trying = false;
  cluster.limits.releaseRequest();
  cluster.end(ex.endpoint!);
}

/** The exchange holds its place among the retries until it ends or is tried again. */
export function endRetry(ex: Exchange): void {
  if (!ex.retrying) return;
  ex.retrying = false;
  ex.cluster!.limits.releaseRetry(ex.retriedEndpoint);
  ex.retriedEndpoint = undefined;
}

/** Gives up the try's connection: it is in the middle of something. */
export function dropUpstream(ex: Exchange): void {
  const { upstream } = ex;
  if (upstream === undefined) return;
  ex.upstream = undefined;
  upstream.discard();
}

/** An answer was chosen, or nobody waits for one. */
export function dropEarlier(ex: Exchange): void {
  const earlier = ex.earlier!;
  ex.earlier = undefined;
  for (const one of earlier) one.abandon();
}

/** Nobody is there any more who would want the answer. */
function endWait(ex: Exchange): void {
  const wait = ex.wait!;
  ex.wait = undefined;
  wait.cancel();
}

/** The exchange is over; `after` says what becomes of the downstream connection. */
export function finish(ex: Exchange, after: After): void {
  const { env, upstream, downstream } = ex;
  if (upstream !== undefined) {
    ex.upstream = undefined;
    if (ex.phase !== Phase.done || !ex.requestDone) upstream.discard();
    else if (ex.upstreamKeepsAlive) upstream.release(env.nowMs);
    else upstream.close();
  }
  endTry(ex);
  endRetry(ex);
  if (ex.earlier !== undefined) dropEarlier(ex);
  if (ex.copy !== undefined && !ex.requestDone) ex.copy.abandon();
  recordMetrics(ex);
  if (ex.record !== undefined) writeRecord(ex);
  if (ex.wait !== undefined) endWait(ex);
  if (env.policy !== undefined) reportExchange(ex, env.policy);
  if (ex.generation !== undefined) env.generations.release(ex.generation);
  if (env.scannedFor === ex) env.scannedFor = undefined;
  downstream!.exchangeDone(after);
}

/** After a complete response. */
export function finishAnswered(ex: Exchange): void {
  // Draining closes what it has announced to close, and nothing else: the next request may be on
  // its way already.
  const keep = ex.keepsAlive && ex.requestDone && !ex.closes;
  finish(ex, keep ? After.keep : After.close);
}

/** The response was begun and cannot be completed: the client must be able to see that. */
export function abortExchange(ex: Exchange, failure: Failure): void {
  ex.failure = failure;
  dropUpstream(ex);
  finish(ex, ex.call !== undefined && endCall(ex, ex.call, failure) ? After.close : After.abort);
}

/** The client has gone: nobody is left to answer. */
export function downstreamGone(ex: Exchange): void {
  if (ex.responseFraming === Framing.tunnel && ex.phase === Phase.tunnel) ex.phase = Phase.done;
  else ex.failure ??= Failures.downstreamGone;
  dropUpstream(ex);
  finish(ex, After.abort);
}
