/** Which kinds of trouble take an endpoint out of rotation. */
import { describe, expect, test } from "bun:test";
import { Metrics } from "../../telemetry/metrics.ts";
import { published } from "../../testing/snapshot-sample.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import type { Cluster } from "./cluster.ts";
import type { Endpoint } from "./endpoint.ts";

interface Sample {
  readonly cluster: Cluster;
  readonly clock: VirtualClock;
  readonly metrics: Metrics;
}

type Json = number | boolean | { readonly [name: string]: Json };

function sample(outlier: Readonly<Record<string, Json>>, count = 5): Sample {
  const clock = new VirtualClock();
  const metrics = new Metrics();
  const endpoints = Array.from({ length: count }, (_, i) => ({ address: `10.0.0.${i}`, port: 80 }));
  const limits = { maxEjectionPercent: 100, intervalMs: 1_000, baseEjectionMs: 10_000 };
  const snapshot = published(
    {
      clusters: [{ name: "c", outlier: { ...limits, ...outlier } }],
      endpointSets: [{ cluster: "c", endpoints }],
    },
    { clock, metrics },
  );
  return { cluster: snapshot.clusters.get("c")!, clock, metrics };
}

/** "503 503 reset timeout 200": what became of one try after another. */
function outcomes(cluster: Cluster, endpoint: Endpoint, text: string): void {
  for (const word of text.split(" "))
    if (word === "reset" || word === "timeout") cluster.failedLocally(endpoint, word === "timeout");
    else cluster.answered(endpoint, Number(word), 1, 0);
}

function counted({ metrics }: Sample, name: string): number {
  const { values, families } = metrics.view();
  const family = families.find((one) => one.name === `envoy_cluster_outlier_detection_${name}`);
  return values[family?.series[0]?.slot ?? -1] ?? 0;
}

describe("in a row", () => {
  const gateway = { consecutiveErrorsOff: true, consecutiveGatewayErrors: 3 };
  const split = { splitLocalFailures: true, consecutiveLocalFailures: 2, consecutiveErrors: 3 };
  type Row = readonly [outlier: Record<string, Json>, outcomes: string, cause: string | undefined];
  // biome-ignore format: a table reads as a table
  const rows: readonly Row[] = [
    [{},                       "500 501 502 503 504",          "consecutive_5xx"],
    [{},                       "500 500 500 500",              undefined],
    [{},                       "500 500 200 500 500 500 500",  undefined],
    [{},                       "500 500 404 500 500 500 500",  undefined],
    [{ consecutiveErrors: 2 }, "500 599",                      "consecutive_5xx"],
    [{ consecutiveErrors: 3 }, "reset timeout 500",            "consecutive_5xx"],
    [gateway,                  "502 503 504",                  "consecutive_gateway_failure"],
    [gateway,                  "reset timeout 503",            "consecutive_gateway_failure"],
    [gateway,                  "503 503 500 503 503",          undefined],
    [gateway,                  "503 503 200 503 503",          undefined],
    [gateway,                  "500 500 500 500 500 500",      undefined],
    [split,                    "reset timeout",                "consecutive_local_origin_failure"],
    [split,                    "reset 200 reset 404 reset",    undefined],
    [split,                    "reset 500 500 reset",          undefined],
    [split,                    "500 500 500",                  "consecutive_5xx"],
    [{ splitLocalFailures: true }, "reset reset reset reset",  undefined],
  ];
  for (const [outlier, text, cause] of rows)
    test(`${JSON.stringify(outlier)} after ${text}: ${cause ?? "stays"}`, () => {
      const made = sample(outlier);
      const endpoint = made.cluster.endpoints[0]!;
      outcomes(made.cluster, endpoint, text);
      expect(endpoint.ejected).toBe(cause !== undefined);
      expect(counted(made, "ejections_enforced_total")).toBe(cause === undefined ? 0 : 1);
      if (cause !== undefined) expect(counted(made, `ejections_enforced_${cause}`)).toBe(1);
    });

  test("the longest ejection is that of the policy, or the base", () => {
    for (const [maxEjectionMs, third] of [
      [15_000, 15_000],
      [5_000, 10_000],
    ] as const) {
      const { cluster, clock } = sample({ consecutiveErrors: 1, maxEjectionMs });
      const endpoint = cluster.endpoints[0]!;
      for (let i = 0; i < 2; i++) {
        outcomes(cluster, endpoint, "500");
        clock.advance(20_000);
        endpoint.returnedMs = clock.nowMs();
      }
      outcomes(cluster, endpoint, "500");
      clock.advance(third - 1);
      expect(endpoint.ejected).toBe(true);
      clock.advance(1);
      expect(endpoint.ejected).toBe(false);
    }
  });
});

describe("by rates", () => {
  const off = { consecutiveErrorsOff: true };
  const successRate = { ...off, successRate: { endpointsMin: 5, volumeMin: 10, stdevFactor: 1.5 } };
  const percentage = { ...off, failurePercentage: { endpointsMin: 5, volumeMin: 10, percent: 40 } };

  /** Each endpoint gets 20 requests in an interval, so many of which fail. */
  function after(outlier: Record<string, Json>, failures: readonly number[], volume = 20): string {
    const { cluster, clock } = sample(outlier, failures.length);
    for (const [i, count] of failures.entries())
      for (let k = 0; k < volume; k++)
        outcomes(cluster, cluster.endpoints[i]!, k < count ? "500" : "200");
    clock.advance(1_000);
    return cluster.endpoints.map(({ ejected }) => (ejected ? "x" : ".")).join("");
  }

  // biome-ignore format: a table reads as a table
  const rows: readonly [string, Record<string, Json>, failures: number[], ejected: string][] = [
    ["one is far off",                successRate, [0, 0, 0, 0, 10],      "....x"],
    ["all are equally bad",           successRate, [10, 10, 10, 10, 10],  "....."],
    ["nobody fails",                  successRate, [0, 0, 0, 0, 0],       "....."],
    ["too few endpoints to compare",  successRate, [0, 0, 0, 10],         "...."],
    ["somebody fails a little more",  successRate, [1, 2, 1, 2, 2],       "....."],
    ["one fails too much",            percentage,  [0, 0, 0, 0, 8],       "....x"],
    ["one fails nearly too much",     percentage,  [0, 0, 0, 0, 7],       "....."],
    ["all fail too much",             percentage,  [9, 9, 9, 9, 9],       "xxxxx"],
    ["too few endpoints",             percentage,  [9, 9, 9, 9],          "...."],
  ];
  for (const [name, outlier, failures, ejected] of rows)
    test(`${name}: ${ejected}`, () => expect(after(outlier, failures)).toBe(ejected));

  test("below the volume nobody is judged", () => {
    expect(after(percentage, [9, 9, 9, 9, 9], 9)).toBe(".....");
  });

  test("outcomes of a former interval do not count", () => {
    const { cluster, clock } = sample(percentage);
    for (let interval = 0; interval < 3; interval++) {
      for (const endpoint of cluster.endpoints)
        for (let k = 0; k < 9; k++) outcomes(cluster, endpoint, "500");
      clock.advance(1_000);
    }
    expect(cluster.endpoints.some(({ ejected }) => ejected)).toBe(false);
  });

  test("the maximum spares the least bad", () => {
    const limited = { ...percentage, maxEjectionPercent: 40 };
    expect(after(limited, [20, 10, 9, 19, 0])).toBe("x..x.");
  });

  test("no timer runs without traffic", () => {
    const { cluster, clock } = sample(successRate);
    expect(clock.waiting).toBe(0);
    outcomes(cluster, cluster.endpoints[0]!, "200");
    expect(clock.waiting).toBe(1);
    clock.advance(1_000);
    expect(clock.waiting).toBe(0);
    outcomes(cluster, cluster.endpoints[0]!, "200");
    cluster.close();
    expect(clock.waiting).toBe(0);
  });
});
