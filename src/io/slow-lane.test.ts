/** Who has had its share of a turn waits for another one. */
import { expect, test } from "bun:test";
import { type LaneUser, SlowLane } from "./slow-lane.ts";

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("one user is served in each turn, and who asks again is behind those who wait", async () => {
  const lane = new SlowLane();
  const served: string[] = [];
  const shares = new Map([
    ["a", 3],
    ["b", 1],
    ["c", 2],
  ]);
  for (const [name, share] of shares) {
    let left = share;
    const user: LaneUser = {
      served() {
        served.push(name);
        if (--left > 0) lane.add(user);
      },
    };
    lane.add(user);
  }
  expect(served).toEqual([]);
  const counts: number[] = [];
  for (let turn = 0; turn < 8; turn++) {
    await nextTurn();
    counts.push(served.length);
  }
  expect(served.join("")).toBe("abcaca");
  expect(counts.every((count, i) => count - (counts[i - 1] ?? 0) <= 1)).toBe(true);
});

test("whoever is alone goes on in the next turn, and again after a pause", async () => {
  const lane = new SlowLane();
  let count = 0;
  const user = { served: () => void count++ };
  for (let i = 1; i < 4; i++) {
    lane.add(user);
    await nextTurn();
    await nextTurn();
    expect(count).toBe(i);
  }
});
