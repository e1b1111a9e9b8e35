/**
 * One try: an endpoint, a connection to it, the request sent; and what follows when a try fails.
 *
 *   runTry ─▶ endpoint ─▶ idle connection ─▶ sent
 *      ▲          │            └─ none ─▶ connecting, or waiting for one ─▶ upstreamOpened ─▶ sent
 *      │          ▼
 *      └── again? ◀── tryFailed ── else ──▶ reply
 */
import { backoffMs } from "../../core/backoff.ts";
import { type Failure, Failures } from "../../core/failure.ts";
import { isIdempotent } from "../../http/method.ts";
import { type ConnectCause, failureOf } from "../../io/tcp-connector.ts";
import { NO_HASH } from "../cluster/balancing/balancer.ts";
import {
  type HashPolicy,
  hashOf,
  issueCookie,
  NEEDS_COOKIE,
} from "../cluster/balancing/hash-policy.ts";
import type { Endpoint } from "../cluster/endpoint.ts";
import { PASSTHROUGH } from "../cluster/make-cluster.ts";
import { CallKind } from "../grpc/media-type.ts";
import { NO_WAIT } from "../grpc/pushback.ts";
import { RetryOn, retriesFailure } from "../route/retry.ts";
import { originalEndpoint } from "../tcp/original-endpoint.ts";
import { ConnectionPool, mayCall, poolOf } from "../upstream/pool.ts";
import { type Exchange, Phase, Wake } from "./exchange.ts";
import { abortExchange, dropUpstream, endRetry, endTry } from "./finish.ts";
import { replyFailure } from "./reply.ts";
import { rescan, sendRequest } from "./request-head.ts";
import { armTimer } from "./timing.ts";

const BACKOFF_DOUBLINGS = 10;
/** Longer than a server may have a caller wait for another try. */
const WAIT_MS_MAX = 60_000;

/** Begins a try; it, or the exchange, may have ended on return. */
export function runTry(ex: Exchange): void {
  const failure = beginTry(ex);
  if (failure !== undefined) tryFailed(ex, failure);
  else if (ex.downstream !== undefined) armTimer(ex);
}

/** Why it could not even be sent; undefined: it is under way. */
function beginTry(ex: Exchange): Failure | undefined {
  const cluster = ex.cluster!;
  const endpoint = pick(ex);
  if (endpoint === undefined) {
    cluster.stats.series.noneHealthy.increment();
    return cluster.lacksIdentities ? Failures.noPeerIdentity : Failures.noUpstream;
  }
  if (!cluster.limits.tryAcquireRequest(endpoint)) return Failures.overflow;
  cluster.begin(endpoint);
  ex.endpoint = endpoint;
  ex.trying = true;
  ex.attempts++;
  ex.tryDeadlineMs = ex.perTryTimeoutMs === 0 ? 0 : ex.env.nowMs + ex.perTryTimeoutMs;
  const { pools } = ex.env;
  if (!mayCall(endpoint, cluster, pools.identity)) return Failures.noOwnIdentity;
  const pool = poolOf(endpoint, cluster, pools);
  if (!speaksHttp2(ex, pool)) return useConnection(ex, pool);
  return refusesCall(ex, pool) ? Failures.upstreamWithoutHttp2 : useStream(ex, pool);
}

/**
 * HTTP/2 goes on as HTTP/2 between sidecars, whose far end knows what its application speaks, and
 * to an application that may speak either, unless it was found not to; HTTP/1.1 goes on as it is.
 * gRPC is nothing in HTTP/1.1. What a tunnel holds is not ours to choose: it gets a connection of
 * its own.
 */
function speaksHttp2(ex: Exchange, pool: ConnectionPool): boolean {
  if (ex.connects) return false;
  const { protocol } = ex.cluster!.settings;
  if (protocol === "http2") return true;
  if (ex.downstream!.stream === undefined) return false;
  if (protocol === "any") return isNativeCall(ex) || !pool.sessions.spoken.lacksHttp2(ex.env.nowMs);
  return pool.takesMesh && !pool.sessions.spoken.lacksHttp2(ex.env.nowMs);
}

/** gRPC itself: gRPC-Web goes over any version. */
function isNativeCall({ call }: Exchange): boolean {
  return call !== undefined && call.kind === CallKind.grpc;
}

/** The application has said itself that it speaks no HTTP/2. */
function refusesCall(ex: Exchange, pool: ConnectionPool): boolean {
  if (ex.cluster!.settings.protocol !== "any") return false;
  return isNativeCall(ex) && pool.sessions.spoken.answersOtherwise(ex.env.nowMs);
}

/**
 * No HTTP/2 came of the try, so nothing of the request was sent: it goes on in HTTP/1.1, if nobody
 * said that the peer speaks HTTP/2. False: it has failed.
 */
export function goesOnInHttp1(ex: Exchange): boolean {
  const cluster = ex.cluster!;
  if (cluster.settings.protocol === "http2") return false;
  const pool = poolOf(ex.endpoint!, cluster, ex.env.pools);
  if (!pool.sessions.spoken.lacksHttp2(ex.env.nowMs)) return false;
  if (cluster.settings.protocol === "any" && isNativeCall(ex)) return false;
  if (ex.pending) cluster.limits.releasePending(ex.endpoint);
  ex.pending = false;
  const failure = useConnection(ex, pool);
  if (failure !== undefined) tryFailed(ex, failure);
  else if (ex.acceptsBody) ex.downstream?.resumeInput();
  if (ex.downstream !== undefined) armTimer(ex);
  return true;
}

/** What a connect that came to nothing is; a call is told if it can never be anything. */
export function connectFailure(ex: Exchange, cause: ConnectCause): Failure {
  const pool = poolOf(ex.endpoint!, ex.cluster!, ex.env.pools);
  if (cause === "protocol" && refusesCall(ex, pool)) return Failures.upstreamWithoutHttp2;
  // Whoever listens there next may be another program.
  if (cause === "refused") pool.forgetProtocol();
  return failureOf(cause);
}

function useStream(ex: Exchange, pool: ConnectionPool): Failure | undefined {
  const { limits, connectTimeoutMs } = ex.cluster!;
  if (ex.env.isOwnListener(ex.downstream!.listener.name, pool.endpoint)) return Failures.loop;
  if (!limits.tryAcquirePending(pool.endpoint)) return Failures.overflow;
  const upstream = pool.sessions.stream(ex, connectTimeoutMs);
  ex.upstream = upstream;
  ex.reused = upstream.reused;
  ex.phase = Phase.head;
  if (upstream.stream === undefined) {
    ex.pending = true;
    return undefined;
  }
  limits.releasePending(pool.endpoint);
  return sendRequest(ex);
}

function useConnection(ex: Exchange, pool: ConnectionPool): Failure | undefined {
  const idle = mayReuse(ex) ? pool.take(ex) : undefined;
  if (idle === undefined) return openConnection(ex, pool);
  ex.upstream = idle;
  ex.reused = true;
  return sendRequest(ex);
}

function openConnection(ex: Exchange, pool: ConnectionPool): Failure | undefined {
  const { cluster, env } = ex;
  const { limits } = cluster!;
  if (env.isOwnListener(ex.downstream!.listener.name, pool.endpoint)) return Failures.loop;
  if (!limits.tryAcquirePending(pool.endpoint)) return Failures.overflow;
  ex.pending = true;
  ex.reused = false;
  ex.phase = Phase.head;
  if (limits.tryAcquireConnection(pool.endpoint)) {
    ex.upstream = pool.connect(cluster!, ex);
    return undefined;
  }
  const idle = idlePool(ex);
  if (idle !== undefined && mayReuse(ex)) return moveTo(ex, idle);
  env.pools.waiting.add(limits.usage, ex);
  idle?.closeOldest();
  return undefined;
}

/** Only a new connection will do for a tunnel, and after a stale one. */
function mayReuse(ex: Exchange): boolean {
  return !ex.repeated && !ex.connects;
}

/** One of the cluster's pools that has an idle connection. */
function idlePool(ex: Exchange): ConnectionPool | undefined {
  const cluster = ex.cluster!;
  for (const { pool } of cluster.endpoints)
    if (pool instanceof ConnectionPool && pool.idle > 0 && pool.isFor(cluster)) return pool;
  return undefined;
}

/** Takes the idle connection of another endpoint: the cluster may open no more. */
function moveTo(ex: Exchange, pool: ConnectionPool): Failure | undefined {
  const cluster = ex.cluster!;
  ex.pending = false;
  cluster.limits.releasePending(ex.endpoint);
  cluster.end(ex.endpoint!);
  cluster.begin(pool.endpoint);
  ex.endpoint = pool.endpoint;
  return useConnection(ex, pool);
}

/** For one that waits: a connection of its cluster is idle, or there is room for a new one. */
export function tryAgainToConnect(ex: Exchange): void {
  const idle = mayReuse(ex) ? idlePool(ex) : undefined;
  let failure: Failure | undefined;
  if (idle !== undefined) failure = moveTo(ex, idle);
  else {
    ex.pending = false;
    ex.cluster!.limits.releasePending(ex.endpoint);
    failure = openConnection(ex, poolOf(ex.endpoint!, ex.cluster!, ex.env.pools));
  }
  if (failure !== undefined) tryFailed(ex, failure);
  else if (ex.acceptsBody) ex.downstream?.resumeInput();
}

function pick(ex: Exchange): Endpoint | undefined {
  const cluster = ex.cluster!;
  const avoid = ex.attempts === 0 && !ex.repeated ? undefined : ex.endpoint;
  if (cluster.hashPolicy !== undefined) return pickByHash(ex, cluster.hashPolicy, avoid);
  if (!cluster.original) return cluster.pick(avoid);
  if (cluster.callers !== undefined)
    return cluster.callers.find(ex.downstream!.socket?.remoteAddress ?? "");
  const { captured, defaultPort } = ex.downstream!;
  if (captured !== undefined && cluster.name === PASSTHROUGH)
    return originalEndpoint(cluster, captured);
  const head = rescan(ex);
  return cluster.pickOriginal(head.bytes, head.authorityStart, head.authorityEnd, defaultPort);
}

/** The same endpoint for the same caller; who has no cookie to be told by is given one. */
function pickByHash(ex: Exchange, policy: HashPolicy, avoid: Endpoint | undefined) {
  if (ex.hash === NO_HASH) {
    const head = rescan(ex);
    const source = sourceAddress(ex);
    ex.hash = hashOf(policy, head, source);
    if (ex.hash === NEEDS_COOKIE) {
      const { hash, line } = issueCookie(policy, head, source, ex.env.random);
      ex.hash = hash;
      const { responseFields } = ex;
      ex.responseFields =
        responseFields === undefined ? line : Buffer.concat([responseFields, line]);
    }
  }
  return ex.cluster!.pick(avoid, ex.hash);
}

/** At the edge that of the client, who may be behind proxies that are trusted. */
function sourceAddress({ env, downstream }: Exchange): string {
  const peer = downstream!.edge;
  if (peer === undefined)
    return downstream!.source?.address ?? downstream!.socket?.remoteAddress ?? "";
  const { clientBytes, clientStart, clientEnd } = env.edge;
  if (clientBytes === peer.address) return peer.text;
  return Buffer.from(clientBytes.subarray(clientStart, clientEnd)).toString("latin1");
}

/** A try came to nothing: another one, or the end of the exchange. */
export function tryFailed(ex: Exchange, failure: Failure): void {
  const silent = ex.phase === Phase.head && ex.partial === undefined && ex.interims === 0;
  const stale = ex.reused && silent && isConnectionLoss(failure);
  const { cluster, endpoint } = ex;
  dropUpstream(ex);
  if (failure.origin === "upstream" && !stale && ex.trying)
    cluster!.failedLocally(endpoint!, failure.flag === "UT");
  endTry(ex);
  ex.acceptsBody = false;
  ex.partial = undefined;
  if (ex.responded) return abortExchange(ex, failure);
  const policy = ex.route?.retry;
  const wanted = policy !== undefined && retriesFailure(policy, failure);
  const forgives = wanted || ((policy?.on ?? 0) & RetryOn.idempotentReset) !== 0;
  const lost = stale || (forgives && silent && isConnectionLoss(failure));
  const unprocessed = failure === Failures.upstreamUnprocessed;
  const repeats = unprocessed || (lost && isIdempotent(ex.method));
  if (repeats && !ex.repeated && isReplayable(ex)) {
    ex.repeated = true;
    ex.attempts--;
    return runTry(ex);
  }
  if (wanted && retryLater(ex)) return;
  if (ex.earlier !== undefined) return ex.earlier.at(-1)!.takeUp();
  replyFailure(ex, failure);
}

/**
 * Arranges for another try, after its backoff, or after `waitMs`; false: there is none left, or
 * none possible.
 */
export function retryLater(ex: Exchange, waitMs = NO_WAIT): boolean {
  const { env, cluster, route } = ex;
  if (ex.retriesLeft <= 0 || !isReplayable(ex) || !mayWait(ex, waitMs)) return false;
  endRetry(ex);
  if (!cluster!.limits.tryAcquireRetry(ex.endpoint)) return false;
  ex.retriedEndpoint = ex.endpoint;
  ex.retriesLeft--;
  ex.retrying = true;
  ex.phase = Phase.head;
  const base = route?.retry?.backoffMs || 25;
  const usualMs = backoffMs(ex.attempts - 1, base, base * BACKOFF_DOUBLINGS, env.random);
  ex.wakeMs = env.nowMs + (waitMs === NO_WAIT ? usualMs : waitMs);
  ex.wake = Wake.retry;
  ex.tryDeadlineMs = 0;
  armTimer(ex);
  return true;
}

/** An answer that is here is better than a timeout. */
function mayWait(ex: Exchange, waitMs: number): boolean {
  const { env, deadlineMs } = ex;
  if (waitMs > Math.min(WAIT_MS_MAX, env.limits.stallTimeoutMs)) return false;
  return deadlineMs === 0 || env.nowMs + Math.max(0, waitMs) < deadlineMs;
}

/** The whole request can be sent once more. */
export function isReplayable(ex: Exchange): boolean {
  return !ex.bodySent || ex.replay?.complete === true;
}

function isConnectionLoss(failure: Failure): boolean {
  const { upstreamGone, upstreamReset, upstreamSilent } = Failures;
  return failure === upstreamGone || failure === upstreamReset || failure === upstreamSilent;
}
