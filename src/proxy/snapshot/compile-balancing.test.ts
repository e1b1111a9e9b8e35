/** Balancing, health checks and limits of a cluster: what is meant, and what is refused. */
import { describe, expect, test } from "bun:test";
import { problemsOf, published } from "../../testing/snapshot-sample.ts";
import type { ClusterSettings } from "../cluster/cluster.ts";

type Json = number | string | boolean | readonly Json[] | { readonly [name: string]: Json };
type Fields = Readonly<Record<string, Json>>;

function settingsOf(cluster: Fields): ClusterSettings {
  const json = JSON.parse(JSON.stringify({ clusters: [{ name: "c", ...cluster }] }));
  return published(json).clusters.get("c")!.settings;
}

describe("a cluster that says nothing", () => {
  const settings = settingsOf({});

  test("balances by least request, with the defaults", () => {
    expect(settings.loadBalancer).toBe("least-request");
    expect(settings.balancing).toBeUndefined();
  });

  test("hashes nothing, checks nobody, ejects nobody, has no budget", () => {
    expect(settings.hashPolicy).toBeUndefined();
    expect(settings.healthCheck).toBeUndefined();
    expect(settings.outlier).toBeUndefined();
    expect(settings.maxima.retryBudget).toBeUndefined();
    expect(settings.maxima.perEndpoint).toBeUndefined();
  });
});

test("every load balancer has a kind, and one of a later manager is least request", () => {
  const names = ["ROUND_ROBIN", "RANDOM", "LEAST_REQUEST", "PEAK_EWMA", "RING_HASH", "MAGLEV"];
  const kinds = names.map((name) => settingsOf({ loadBalancer: `LOAD_BALANCER_${name}` }));
  expect(kinds.map(({ loadBalancer }) => loadBalancer)).toEqual([
    "round-robin",
    "random",
    "least-request",
    "peak-ewma",
    "ring-hash",
    "maglev",
  ]);
  expect(settingsOf({ loadBalancer: 99 }).loadBalancer).toBe("least-request");
});

describe("what is left out has Envoy's default", () => {
  test("for slow start and rings", () => {
    expect(settingsOf({ balancing: { slowStart: { windowMs: 5_000 } } }).balancing).toEqual({
      slowStart: { windowMs: 5_000, aggression: 1, minPercent: 10 },
      ring: { pointsMin: 1_024, pointsMax: 1_048_576 },
    });
  });

  test("for health checks", () => {
    expect(settingsOf({ healthCheck: { http: { path: "/" } } }).healthCheck).toEqual({
      probe: {
        by: "http",
        method: "GET",
        path: "/",
        host: "",
        headers: [],
        expected: [[200, 200]],
      },
      timeoutMs: 1_000,
      intervalMs: 10_000,
      jitterMs: 1_000,
      noTrafficIntervalMs: 60_000,
      unhealthyIntervalMs: 0,
      unhealthyThreshold: 3,
      healthyThreshold: 2,
      port: 0,
      plaintext: false,
    });
  });

  test("for ejection", () => {
    const outlier = { successRate: {}, failurePercentage: {}, splitLocalFailures: true };
    expect(settingsOf({ outlier }).outlier).toEqual({
      consecutiveErrors: 5,
      consecutiveLocalFailures: 5,
      intervalMs: 10_000,
      baseEjectionMs: 30_000,
      maxEjectionPercent: 0,
      successRate: { endpointsMin: 5, volumeMin: 100, stdevFactor: 1.9 },
      failurePercentage: { endpointsMin: 5, volumeMin: 50, percent: 85 },
    });
  });

  test("for retry budgets", () => {
    const { maxima } = settingsOf({ circuitBreaker: { retryBudget: {} } });
    const budget = { percent: 20, intervalMs: 0, minPerSecond: 10, minConcurrent: 3 };
    expect(maxima.retryBudget).toEqual(budget);
  });
});

test("zero is a number where it means something", () => {
  const { balancing, maxima } = settingsOf({
    balancing: { panicPercent: 0, activeBias: 0, slowStart: { windowMs: 1, minPercent: 0 } },
    circuitBreaker: { retryBudget: { percent: 0, minConcurrent: 0, minPerSecond: 0 } },
  });
  expect([balancing?.panicPercent, balancing?.activeBias]).toEqual([0, 0]);
  expect(balancing?.slowStart?.minPercent).toBe(0);
  expect(maxima.retryBudget).toMatchObject({ percent: 0, minConcurrent: 0, minPerSecond: 0 });
});

describe("is refused with its place:", () => {
  const http = (fields: Fields): Fields => ({ healthCheck: { http: { path: "/", ...fields } } });
  // biome-ignore format: a table reads as a table
  const rows: readonly [cluster: Fields, problem: string][] = [
    [{ balancing: { panicPercent: 101 } },                     "balancing.panic_percent: 101"],
    [{ balancing: { activeBias: -1 } },                        "active_bias: -1 is below 0"],
    [{ balancing: { activeBias: "NaN" } },                     "active_bias: NaN is below 0"],
    [{ balancing: { maglevSize: 65_536 } },                    "65536 is not a prime"],
    [{ balancing: { maglevSize: 5_000_081 } },                 "not a prime up to 5000011"],
    [{ balancing: { ringSizeMin: 200, ringSizeMax: 100 } },    "200 is above the maximum of 100"],
    [{ balancing: { slowStart: { windowMs: 1, aggression: -1 } } }, "slow_start.aggression: -1"],
    [{ balancing: { slowStart: { windowMs: 1, minPercent: 101 } } }, "min_percent: 101 is above"],
    [{ hash: [{}] },                                           "hash[0]: it says nothing"],
    [{ hash: [{ header: "a b" }] },                            '"a b" is not the name of a field'],
    [{ hash: [{ query: "" }] },                                "a query parameter has a name"],
    [{ hash: [{ source: true }, { cookie: { name: "a;b" } }] }, 'hash[1]: "a;b" is not the name'],
    [{ hash: [{ cookie: { name: "a", path: "/;x" } }] },       '"/;x" cannot be part of a cookie'],
    [{ hash: [{ cookie: { name: "a", attributes: ["a\r\nb"] } }] }, "cannot be part of a cookie"],
    [{ healthCheck: {} },                                      "asks by HTTP, TCP or gRPC"],
    [{ healthCheck: { tcp: {}, port: 65_536 } },               "65536 is not a port"],
    [http({ path: "x" }),                                      'health_check.http.path: "x"'],
    [http({ path: "/a b" }),                                   "is not a path"],
    [http({ method: "A B" }),                                  '"A B" is no method'],
    [http({ method: "CONNECT" }),                              "CONNECT asks for a tunnel"],
    [http({ host: "a b" }),                                    '"a b" is not a host'],
    [http({ headers: [{ name: "a", value: "b\r\nc" }] }),      "is not a field"],
    [http({ expected: [{ from: 100, to: 200 }] }),             "100 to 200 is not a range"],
    [http({ expected: [{ from: 300, to: 200 }] }),             "300 to 200 is not a range"],
    [{ healthCheck: { grpc: { service: "a".repeat(1_025) } } }, "is longer than 1024"],
    [{ healthCheck: { grpc: { authority: "a\nb" } } },         "is not a host"],
    [{ outlier: { failurePercentage: { percent: 101 } } },     "101 is above 100"],
    [{ circuitBreaker: { retryBudget: { percent: 101 } } },    "retry_budget.percent: 101"],
    [{ circuitBreaker: { retryBudget: { minPerSecond: -1 } } }, "-1 is below 0"],
  ];
  for (const [cluster, problem] of rows)
    test(`${JSON.stringify(cluster).slice(0, 70)}`, () => {
      const json = JSON.parse(JSON.stringify({ clusters: [{ name: "c", ...cluster }] }));
      const problems = problemsOf(json);
      expect(problems).toHaveLength(1);
      expect(problems[0]).toContain(problem);
    });
});
