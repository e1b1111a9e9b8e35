/**
 * A call that goes on for long ends with what allowed it: with the certificate's time, with the
 * trust in its root, and when the join token that it goes back to is revoked. Whoever has a new
 * certificate by then comes back with it at once; a proxy renews at half of its certificate's life.
 */
import type { Caller } from "../../api/principal.ts";
import type { Clock } from "../../core/clock.ts";
import type { WorkloadStanding } from "./credential.ts";

export interface Expiry {
  readonly signal: AbortSignal;
  /** Why it ended before its time, as a sentence; "": it did not. */
  readonly lapse: string;
  cancel(): void;
}

/** Timers of the runtime take no longer ones. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** Without `standing` certificates last until they expire: in a transport in memory. */
export function whileInForce(
  { principal }: Caller,
  clock: Clock,
  standing: Pick<WorkloadStanding, "lapseOf" | "onChange"> | undefined,
): Expiry {
  const ended = new AbortController();
  const { signal } = ended;
  if (principal.kind !== "workload") return { signal, lapse: "", cancel: () => {} };
  const { certificate } = principal;
  let cancel = (): void => {};
  let lapse = "";
  const wait = (): void => {
    const leftMs = certificate.notAfterMs - clock.wallMs();
    if (leftMs <= 0) return ended.abort(new Error("the certificate has expired"));
    cancel = clock.after(Math.min(leftMs, TIMER_MS_MAX), wait);
  };
  const look = (): void => {
    const why = signal.aborted ? undefined : standing?.lapseOf(certificate);
    if (why === undefined) return;
    lapse = why;
    ended.abort(new Error(why));
  };
  wait();
  look();
  const stop = standing?.onChange(look);
  return {
    signal,
    get lapse() {
      return lapse;
    },
    cancel() {
      cancel();
      stop?.();
    },
  };
}
