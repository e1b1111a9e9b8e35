/** The one timer of an exchange: the downstream connection's, set to the nearest of its limits. */
import { type Exchange, Phase } from "./exchange.ts";

export function armTimer(ex: Exchange): void {
  const { env, downstream } = ex;
  const { limits } = env;
  const idleMs = ex.phase === Phase.tunnel ? limits.tunnelIdleMs : limits.stallTimeoutMs;
  let next = ex.progressMs + idleMs;
  if (ex.deadlineMs !== 0 && ex.deadlineMs < next) next = ex.deadlineMs;
  if (ex.tryDeadlineMs !== 0 && ex.tryDeadlineMs < next) next = ex.tryDeadlineMs;
  if (ex.wakeMs !== 0 && ex.wakeMs < next) next = ex.wakeMs;
  env.timers.armAt(downstream!, next);
}

/** The request is complete: from now on it is the upstream's time that runs. */
export function startRouteTimeout(ex: Exchange): void {
  if (ex.timeoutMs !== 0) ex.deadlineMs = ex.env.nowMs + ex.timeoutMs;
}
