/** When the mixer refuses work, and when it takes it again. */
import { expect, test } from "bun:test";
import { Metrics } from "../telemetry/metrics.ts";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { LoadShedding, type SheddingOptions } from "./load-shedding.ts";

const options: SheddingOptions = {
  ...{ mode: "enforce", averageLatencyMs: 100, latencyEnforcementRate: 100 },
  ...{ latencyHalfLifeMs: 1_000, requestsPerSecond: 0, burst: 0 },
};

function shedding(changes: Partial<SheddingOptions> = {}) {
  const clock = new VirtualClock();
  const told: string[] = [];
  const metrics = new Metrics({ seriesMax: 100 });
  const one = new LoadShedding({ ...options, ...changes }, clock, metrics, (why) => told.push(why));
  /** So many a second, for so long; how many were taken. */
  const run = (rate: number, seconds: number, latencyMs: number): number => {
    let taken = 0;
    for (let i = 0; i < rate * seconds; i++) {
      clock.advance(1_000 / rate);
      if (!one.admit(1)) continue;
      taken++;
      one.took(latencyMs);
    }
    return taken;
  };
  return { one, clock, told, run };
}

test("disabled, everything is taken", () => {
  expect(shedding({ mode: "disabled" }).run(1_000, 2, 500)).toBe(2_000);
});

test("slow answers alone are no reason: there must be much to do", () => {
  expect(shedding().run(50, 4, 500)).toBe(200);
});

test("much to do alone is no reason either", () => {
  expect(shedding().run(1_000, 2, 99)).toBe(2_000);
});

test("slow answers while there is much to do: work is refused until there is less", () => {
  const { run, told } = shedding();
  const taken = run(1_000, 10, 500);
  expect(taken).toBeLessThan(2_000);
  expect(taken).toBeGreaterThan(500);
  expect(new Set(told)).toEqual(new Set(["latency"]));
});

test("fast again, all is taken again", () => {
  const { run } = shedding();
  run(1_000, 5, 500);
  run(1_000, 10, 1);
  expect(run(1_000, 2, 1)).toBe(2_000);
});

test("only logged, all is taken and all is counted", () => {
  const { run, told } = shedding({ mode: "logonly", requestsPerSecond: 10, burst: 10 });
  expect(run(100, 2, 1)).toBe(200);
  expect(told.length).toBeGreaterThan(150);
});

test("a rate, and a burst at once", () => {
  const { one, run } = shedding({ requestsPerSecond: 100, burst: 20 });
  expect(Array.from({ length: 30 }, () => one.admit(1)).filter(Boolean).length).toBe(20);
  expect(run(1_000, 10, 1)).toBeWithin(990, 1_021);
});

test("what costs more than a burst is taken when nothing else was, and paid off", () => {
  const { one, clock } = shedding({ requestsPerSecond: 100, burst: 20 });
  expect(one.admit(120)).toBe(true);
  clock.advance(900);
  expect(one.admit(1)).toBe(false);
  clock.advance(200);
  expect(one.admit(1)).toBe(true);
});
