/**
 * A time limit for one call. Not the library's own: that leaves its timer running after the answer,
 * and a process that wants to end waits for it.
 */
import type { Clock } from "../../core/clock.ts";

/** Rejects as the call does once its signal is aborted. */
export async function within<T>(
  clock: Clock,
  ms: number,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const limit = new AbortController();
  const cancel = clock.after(ms, () => limit.abort(new Error(`no answer within ${ms} ms`)));
  try {
    return await call(limit.signal);
  } finally {
    cancel();
  }
}
