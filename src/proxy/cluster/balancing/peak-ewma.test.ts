/** What an exchange is expected to cost at an endpoint. */
import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../../core/random.ts";
import { equals } from "../../../testing/endpoint-sample.ts";
import { VirtualClock } from "../../../testing/virtual-clock.ts";
import type { Endpoint } from "../endpoint.ts";
import { LoadBalancer } from "./load-balancer.ts";
import { costOf, observeRtt, penalize } from "./peak-ewma.ts";

const policy = { defaultRttMs: 1_000, decayMs: 10_000, penaltyMs: 5_000 };
const E = Math.exp(1);

function one(): Endpoint {
  return equals(1)[0]!;
}

describe("the cost of an endpoint", () => {
  test("is a second before anybody has measured it, and falls until somebody does", () => {
    const endpoint = one();
    expect(costOf(endpoint, policy, 0)).toBe(1_000);
    expect(costOf(endpoint, policy, 10_000)).toBeCloseTo(1_000 / E);
  });

  test("is multiplied by what is under way there", () => {
    const endpoint = one();
    endpoint.active = 3;
    expect(costOf(endpoint, policy, 0)).toBe(4_000);
  });

  test("jumps to a peak at once", () => {
    const endpoint = one();
    observeRtt(endpoint, 3_000, policy, 0);
    expect(costOf(endpoint, policy, 0)).toBe(3_000);
  });

  test("comes down from it slowly", () => {
    const endpoint = one();
    observeRtt(endpoint, 3_000, policy, 0);
    observeRtt(endpoint, 100, policy, 10_000);
    expect(costOf(endpoint, policy, 10_000)).toBeCloseTo(3_000 / E + 100 * (1 - 1 / E));
  });

  test("is a penalty after a failure, however fast that was", () => {
    const endpoint = one();
    observeRtt(endpoint, 1, policy, 0);
    penalize(endpoint, 0, policy, 0);
    expect(costOf(endpoint, policy, 0)).toBe(5_000);
    expect(costOf(endpoint, policy, 20_000)).toBeCloseTo(5_000 / E / E);
  });

  // biome-ignore format: a table reads as a table
  const rows: readonly [waitMs: number, atMs: number, cost: number][] = [
    [30_000,     30_000,  2_500],
    [30_000,     20_000,  2_500 * E],
    [1_000,      0,       5_000],
    [86_400_000, 300_000, 2_500],
  ];
  for (const [waitMs, atMs, cost] of rows)
    test(`after "Retry-After: ${waitMs / 1_000}" is ${Math.round(cost)} at ${atMs} ms`, () => {
      const endpoint = one();
      observeRtt(endpoint, 0, policy, 0);
      penalize(endpoint, waitMs, policy, 0);
      expect(costOf(endpoint, policy, atMs)).toBeCloseTo(cost, 0);
    });

  test("is not made smaller by a second failure that asks for less", () => {
    const endpoint = one();
    penalize(endpoint, 60_000, policy, 0);
    const before = costOf(endpoint, policy, 1_000);
    penalize(endpoint, 0, policy, 1_000);
    expect(costOf(endpoint, policy, 1_000)).toBeCloseTo(before, 0);
  });
});

/** Endpoints that need these times, asked every 5 ms for `seconds`; parts of the requests. */
function simulate(serviceMs: readonly number[], seconds: number): number[] {
  const clock = new VirtualClock();
  const members = equals(serviceMs.length);
  const balancer = new LoadBalancer({
    kind: "peak-ewma",
    policy: {},
    random: seededRandom(3),
    clock,
    ownLocality: "",
  });
  balancer.rotate(members);
  const picked = members.map(() => 0);
  for (let i = 0; i < seconds * 200; i++) {
    const endpoint = balancer.pick(undefined)!;
    const at = members.indexOf(endpoint);
    picked[at]!++;
    endpoint.active++;
    clock.after(serviceMs[at]!, () => {
      endpoint.active--;
      observeRtt(endpoint, serviceMs[at]!, policy, clock.nowMs());
    });
    clock.advance(5);
  }
  return picked.map((count) => count / (seconds * 200));
}

describe("peak EWMA", () => {
  test("gives equal endpoints equal parts", () => {
    for (const share of simulate([10, 10, 10, 10], 60))
      expect(Math.abs(share - 0.25)).toBeLessThan(0.05);
  });

  test("gives a slow endpoint little, but asks it again", () => {
    const [slow] = simulate([500, 10, 10, 10], 60);
    expect(slow).toBeLessThan(0.05);
    expect(slow).toBeGreaterThan(0);
  });
});
