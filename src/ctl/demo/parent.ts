/** Notices that the process that started this one has gone: no demo leaves an orphan behind. */
import type { Clock } from "../../core/clock.ts";

const INTERVAL_MS = 500;

/** Calls back once this process has another parent; the returned function stops looking. */
export function onParentGone(clock: Clock, onGone: () => void): () => void {
  const parent = process.ppid;
  let cancel = (): void => {};
  const look = (): void => {
    if (process.ppid !== parent) onGone();
    else cancel = clock.after(INTERVAL_MS, look);
  };
  look();
  return () => cancel();
}
