/**
 * What a route, and the caller itself, say of a call of gRPC before its first try: until when it
 * may take, which codes are tried again, whether gRPC-Web is translated.
 */
import type { MessageHead } from "../../http/message-head.ts";
import type { Overrides } from "../filter/override.ts";
import type { Call } from "../grpc/call.ts";
import { grpcTimeoutMs, timeoutLine } from "../grpc/deadline.ts";
import { CallKind } from "../grpc/media-type.ts";
import { WebBridge } from "../grpc/web-bridge.ts";
import type { Exchange } from "./exchange.ts";

/** As with Envoy, for a caller that asks for retries where the route has none. */
const RETRIES = 1;

export function prepareCall(
  ex: Exchange,
  call: Call,
  head: MessageHead,
  overrides: Overrides,
): void {
  prepareDeadline(ex, call, head, overrides.timeoutMs !== -1);
  const retry = ex.route!.retry;
  call.retryOn = (retry?.on ?? 0) | overrides.grpcOn;
  if (overrides.grpcOn !== 0 && retry === undefined)
    ex.retriesLeft = overrides.retries === -1 ? RETRIES : overrides.retries;
  if (call.kind === CallKind.grpc || ex.cluster!.settings.protocol !== "http2") return;
  call.web = new WebBridge(call.kind, call.answer);
}

/**
 * A call that brings its deadline has that one from the moment it came, or the route's timeout from
 * the same moment if somebody wrote a shorter one. A call without is timed as any request.
 */
function prepareDeadline(ex: Exchange, call: Call, head: MessageHead, asked: boolean): void {
  call.timeoutMs = grpcTimeoutMs(head);
  if (call.timeoutMs === 0) return;
  const routeMs = asked || !ex.route!.timeoutIsDefault ? ex.timeoutMs : 0;
  call.endsByCaller = routeMs === 0 || call.timeoutMs <= routeMs;
  ex.deadlineMs = ex.startMs + Math.ceil(call.endsByCaller ? call.timeoutMs : routeMs);
  ex.timeoutMs = 0;
}

/**
 * The line that says what is left of a call's time; undefined: what the caller said, but
 * for less than a millisecond.
 */
export function timeLeftLine(ex: Exchange, call: Call): Uint8Array | undefined {
  if (call.timeoutMs === 0) return undefined;
  const { tryDeadlineMs, deadlineMs } = ex;
  const untilMs = tryDeadlineMs === 0 ? deadlineMs : Math.min(deadlineMs, tryDeadlineMs);
  const leftMs = untilMs - ex.env.nowMs;
  return call.timeoutMs - leftMs < 1 ? undefined : timeoutLine(leftMs);
}
