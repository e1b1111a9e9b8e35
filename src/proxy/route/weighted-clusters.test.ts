/** A canary gets the share that its operator wrote. */
import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../core/random.ts";
import { published } from "../../testing/snapshot-sample.ts";
import type { WeightedClusters } from "./weighted-clusters.ts";

function split(...weights: readonly number[]): WeightedClusters {
  const snapshot = published({
    clusters: weights.map((_, i) => ({ name: `v${i}` })),
    virtualHosts: [
      {
        name: "reviews",
        domains: ["reviews"],
        routes: [
          { forward: { clusters: weights.map((weight, i) => ({ cluster: `v${i}`, weight })) } },
        ],
      },
    ],
  });
  const { action } = snapshot.virtualHosts[0]!.routes[0]!;
  if (action.at !== "forward") throw new Error("it forwards");
  return action.clusters;
}

describe("10,000 requests", () => {
  const requests = 10_000;
  for (const weights of [
    [90, 10],
    [1, 99],
    [50, 50],
    [1, 2, 3, 4],
    [100, 0],
    [3, 3, 3],
  ])
    test(`are split ${weights.join(":")} within 1 %`, () => {
      const clusters = split(...weights);
      const random = seededRandom(weights.length * 7 + weights[0]!);
      const counts = weights.map(() => 0);
      for (let i = 0; i < requests; i++) counts[Number(clusters.choose(random()).name.slice(1))]!++;
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      for (const [i, weight] of weights.entries())
        expect(Math.abs(counts[i]! / requests - weight / total)).toBeLessThan(0.01);
    });

  test("evenly spread numbers are split exactly", () => {
    const clusters = split(25, 75);
    const counts = [0, 0];
    for (let i = 0; i < requests; i++)
      counts[Number(clusters.choose(i / requests).name.slice(1))]!++;
    expect(counts).toEqual([2_500, 7_500]);
  });
});

test("a weight of 0 gets nothing, whatever the number", () => {
  const clusters = split(0, 1);
  for (const random of [0, 0.5, 1 - Number.EPSILON])
    expect(clusters.choose(random).name).toBe("v1");
});

test("a single cluster needs no weight", () => {
  expect(split(0).choose(0.3).name).toBe("v0");
});
