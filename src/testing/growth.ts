/** Whether work grows with its input and no faster: four times as much may not cost eight times. */
import { expect } from "bun:test";

/** More than the least only while they may still improve the result. */
const SAMPLES = { least: 12, most: 400 };

/** `run` does work of size n; choose n so that one sample takes about a millisecond. */
export function expectLinear(run: (n: number) => void, n: number): void {
  expectRatio({ base: () => run(n), other: () => run(4 * n), below: 8 });
}

/**
 * `other` takes less than `below` times as long as `base`. Minima of interleaved samples, so that a
 * busy machine slows both alike, and more of them until they agree: what costs too much does so in
 * every sample, what was interrupted does not.
 */
export function expectRatio(work: {
  readonly base: () => void;
  readonly other: () => void;
  readonly below: number;
}): void {
  let base = Number.POSITIVE_INFINITY;
  let other = Number.POSITIVE_INFINITY;
  for (let i = 0; i < SAMPLES.least || (i < SAMPLES.most && other / base >= work.below); i++) {
    base = Math.min(base, nanosecondsOf(work.base));
    other = Math.min(other, nanosecondsOf(work.other));
  }
  expect(other / base).toBeLessThan(work.below);
}

function nanosecondsOf(run: () => void): number {
  const start = Bun.nanoseconds();
  run();
  return Bun.nanoseconds() - start;
}
