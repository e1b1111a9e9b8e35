/** How many retries there may be. */
import { describe, expect, test } from "bun:test";
import { published } from "../../testing/snapshot-sample.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";

function sample(retryBudget: Readonly<Record<string, number>>) {
  const clock = new VirtualClock();
  const snapshot = published(
    { clusters: [{ name: "c", circuitBreaker: { maxRetries: 1, retryBudget } }] },
    { clock },
  );
  const { limits } = snapshot.clusters.get("c")!;
  return {
    clock,
    /** Exchanges that came and went. */
    requests(count: number): void {
      for (let i = 0; i < count; i++) {
        limits.tryAcquireRequest();
        limits.releaseRequest();
      }
    },
    /** Retries that are allowed, of very many; each is sent. */
    retries(): number {
      let allowed = 0;
      while (allowed < 10_000 && limits.tryAcquireRetry()) {
        limits.tryAcquireRequest();
        limits.releaseRequest();
        limits.releaseRetry();
        allowed++;
      }
      return allowed;
    },
    limits,
  };
}

describe("a budget of 20 % over 10 s, at least one a second", () => {
  const budget = { percent: 20, intervalMs: 10_000, minPerSecond: 1 };

  // biome-ignore format: a table reads as a table
  const rows: readonly [requests: number, retries: number][] = [
    [0, 10], [10, 10], [50, 10], [55, 11], [100, 20], [1_000, 200],
  ];
  for (const [requests, retries] of rows)
    test(`allows ${retries} retries of ${requests} requests`, () => {
      const { requests: send, retries: retry } = sample(budget);
      send(requests);
      expect(retry()).toBe(retries);
      expect(retry()).toBe(0);
    });

  test("is full again an interval later, and knows nothing of earlier requests", () => {
    const { clock, requests, retries } = sample(budget);
    requests(1_000);
    retries();
    clock.advance(11_000);
    expect(retries()).toBe(10);
  });

  test("comes back in steps of a second as its retries grow old", () => {
    const { clock, retries } = sample(budget);
    expect(retries()).toBe(10);
    clock.advance(9_000);
    expect(retries()).toBe(0);
    clock.advance(1_000);
    expect(retries()).toBe(10);
  });

  test("moves with the traffic", () => {
    const { clock, requests, retries } = sample(budget);
    for (let second = 0; second < 30; second++) {
      requests(100);
      clock.advance(1_000);
    }
    expect(Math.abs(retries() - 190)).toBeLessThanOrEqual(10);
  });
});

test("without an interval a budget is of what is under way", () => {
  const { limits } = sample({ percent: 20, minConcurrent: 3 });
  expect([1, 2, 3, 4].map(() => limits.tryAcquireRetry())).toEqual([true, true, true, false]);
  for (let i = 0; i < 20; i++) limits.tryAcquireRequest();
  expect(limits.tryAcquireRetry()).toBe(true);
  expect(limits.tryAcquireRetry()).toBe(false);
  limits.releaseRetry();
  expect(limits.tryAcquireRetry()).toBe(true);
});
