/** Many calls of one kind: by several workers at once, each so often, no faster than it may. */
import type { Clock } from "../core/clock.ts";

export interface CallLoad {
  /** Of each worker. */
  readonly times: number;
  readonly workers: number;
  /** Calls a second, of all workers together; undefined: as fast as they are answered. */
  readonly rate: number | undefined;
  /** At most so many things at one call. */
  readonly batch: number;
}

/** `call` is given how many things are in it. The first that fails ends all of them. */
export async function makeCalls(
  { times, workers, rate, batch }: CallLoad,
  clock: Clock,
  call: (size: number) => Promise<void>,
): Promise<void> {
  let nextMs = clock.nowMs();
  let hasFailed = false;
  const turn = async (): Promise<void> => {
    if (rate === undefined) return;
    const waitMs = nextMs - clock.nowMs();
    nextMs = Math.max(nextMs, clock.nowMs()) + 1_000 / rate;
    if (waitMs > 0) await new Promise<void>((resolve) => void clock.after(waitMs, resolve));
  };
  const work = async (): Promise<void> => {
    for (let left = times; left > 0 && !hasFailed; left -= batch) {
      await turn();
      await call(Math.min(left, batch));
    }
  };
  const all = Array.from({ length: workers }, () =>
    work().catch((thrown: unknown) => {
      hasFailed = true;
      throw thrown;
    }),
  );
  await Promise.all(all);
}
