/**
 * A bench is a test with two sizes. `bun test` runs it small, so that it cannot rot;
 * `BENCH=1 bun test bench` runs it large and prints. Variants of a bench run interleaved in one
 * process and are reported as ratios to the first: on a shared machine a time says little, a ratio
 * within one run says a lot. Times are processor time of the process, all threads.
 *
 * Every variant returns a number computed from its work, and all must agree: this keeps the engine
 * from dropping the work, and the author from "optimising" by changing its meaning.
 */
import { expect, test } from "bun:test";

type Variant = (rounds: number) => number | Promise<number>;

const SAMPLES = 9;

export function bench(
  name: string,
  rounds: { readonly smoke: number; readonly full: number },
  variants: Readonly<Record<string, Variant>>,
): void {
  const isFull = process.env.BENCH === "1";
  test(`bench: ${name}`, async () => {
    const n = isFull ? rounds.full : rounds.smoke;
    const times = new Map(Object.keys(variants).map((variant) => [variant, [] as number[]]));
    const answers = new Set<number>();
    for (let i = 0; i < (isFull ? SAMPLES : 1); i++)
      for (const [variant, run] of Object.entries(variants)) {
        const start = process.cpuUsage();
        answers.add(await run(n));
        const { user, system } = process.cpuUsage(start);
        times.get(variant)!.push(((user + system) * 1_000) / n);
      }
    expect(answers.size).toBe(1);
    if (isFull) console.log(report(name, times));
  }, 120_000);
}

function report(name: string, times: ReadonlyMap<string, readonly number[]>): string {
  const least = (samples: readonly number[]): number => Math.min(...samples);
  const base = least([...times.values()][0]!);
  const lines = Array.from(times, ([variant, samples]) => {
    const sorted = samples.toSorted((a, b) => a - b);
    const [ns, median] = [least(samples), sorted[sorted.length >> 1]!];
    const figures = `${ns.toFixed(0).padStart(8)} ns least ${median.toFixed(0).padStart(8)} median`;
    return `  ${variant.padEnd(28)}${figures} ${(ns / base).toFixed(2)}x`;
  });
  return [name, ...lines].join("\n");
}
