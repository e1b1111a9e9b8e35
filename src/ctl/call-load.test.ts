/** How many calls are made, of what size, and how fast. */
import { expect, test } from "bun:test";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { type CallLoad, makeCalls } from "./call-load.ts";

const once: CallLoad = { times: 1, workers: 1, rate: undefined, batch: 1 };

async function sizes(load: Partial<CallLoad>): Promise<number[]> {
  const made: number[] = [];
  await makeCalls({ ...once, ...load }, new VirtualClock(), async (size) => void made.push(size));
  return made;
}

test("each worker makes so many, the last of them with what is left", async () => {
  expect(await sizes({})).toEqual([1]);
  expect(await sizes({ times: 3, workers: 2 })).toEqual([1, 1, 1, 1, 1, 1]);
  expect(await sizes({ times: 7, batch: 3 })).toEqual([3, 3, 1]);
  expect(await sizes({ times: 2, batch: 100 })).toEqual([2]);
});

test("as many at once as there are workers", async () => {
  let [now, most] = [0, 0];
  await makeCalls({ ...once, times: 5, workers: 3 }, new VirtualClock(), async () => {
    most = Math.max(most, ++now);
    await Promise.resolve();
    now--;
  });
  expect(most).toBe(3);
});

test("a rate is of all workers together", async () => {
  const clock = new VirtualClock();
  const startMs = clock.nowMs();
  const atMs: number[] = [];
  const load = { ...once, times: 3, workers: 2, rate: 10 };
  const done = makeCalls(load, clock, async () => void atMs.push(clock.nowMs() - startMs));
  for (let i = 0; i < 12; i++) {
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
    clock.advance(50);
  }
  await done;
  expect(atMs).toEqual([0, 100, 200, 300, 400, 500]);
});

test("the first that fails ends all of them", async () => {
  let calls = 0;
  const failing = makeCalls({ ...once, times: 100, workers: 2 }, new VirtualClock(), async () => {
    if (++calls === 3) throw new Error("gone");
  });
  expect(await failing.catch((thrown: Error) => thrown.message)).toBe("gone");
  expect(calls).toBeLessThan(6);
});
