/**
 * An endpoint that has just come gets little at first, so that its caches, pools and compilers warm
 * up. As Envoy does it: the weight grows from `minPercent` to the whole within the window, linearly
 * at aggression 1, faster at first above it, slower below.
 */
import type { Endpoint } from "../endpoint.ts";

export interface SlowStart {
  readonly windowMs: number;
  /** Above 0. */
  readonly aggression: number;
  /** 0..100. */
  readonly minPercent: number;
}

/** Whether any of them is still warming up at `nowMs`; until when, 0: none. */
export function warmUntilMs(
  endpoints: readonly Endpoint[],
  slowStart: SlowStart | undefined,
  nowMs: number,
): number {
  if (slowStart === undefined) return 0;
  let until = 0;
  for (const { inRotationMs } of endpoints)
    until = Math.max(until, inRotationMs + slowStart.windowMs);
  return until > nowMs ? until : 0;
}

/** The part of its weight that the endpoint has at `nowMs`: above 0, 1 when warm. */
export function warmth(endpoint: Endpoint, slowStart: SlowStart, nowMs: number): number {
  const { windowMs, aggression, minPercent } = slowStart;
  const sinceMs = nowMs - endpoint.inRotationMs;
  if (sinceMs >= windowMs) return 1;
  const part = Math.max(sinceMs, 1) / windowMs;
  return Math.max(aggression === 1 ? part : part ** (1 / aggression), minPercent / 100, 1e-6);
}
