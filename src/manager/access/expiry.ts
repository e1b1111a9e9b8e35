/**
 * A call that goes on for long ends with the certificate that allowed it. Whoever has a new one by
 * then comes back with it at once; a proxy renews at half of its certificate's life.
 */
import type { Caller } from "../../api/principal.ts";
import type { Clock } from "../../core/clock.ts";

export interface Expiry {
  readonly signal: AbortSignal;
  cancel(): void;
}

/** Timers of the runtime take no longer ones. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export function untilExpiry({ principal }: Caller, clock: Clock): Expiry {
  const ended = new AbortController();
  if (principal.kind !== "workload") return { signal: ended.signal, cancel: () => {} };
  const { notAfterMs } = principal.certificate;
  let cancel = (): void => {};
  const wait = (): void => {
    const leftMs = notAfterMs - clock.wallMs();
    if (leftMs <= 0) return ended.abort(new Error("the certificate has expired"));
    cancel = clock.after(Math.min(leftMs, TIMER_MS_MAX), wait);
  };
  wait();
  return { signal: ended.signal, cancel: () => cancel() };
}
