/** Whether work grows with its input and no faster: four times as much may not cost eight times. */
import { expect } from "bun:test";

/**
 * `run` does work of size n. Minima of interleaved samples, so that a busy machine slows both sizes
 * alike; choose n so that one sample takes about a millisecond.
 */
export function expectLinear(run: (n: number) => void, n: number): void {
  const minima = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (let sample = 0; sample < 12; sample++) {
    for (const [i, size] of [n, 4 * n].entries()) {
      const start = Bun.nanoseconds();
      run(size);
      minima[i] = Math.min(minima[i]!, Bun.nanoseconds() - start);
    }
  }
  expect(minima[1]! / minima[0]!).toBeLessThan(8);
}
