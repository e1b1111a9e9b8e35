/** A cluster at work: endpoints that come and go, limits, ejection, names. */
import { describe, expect, test } from "bun:test";
import { published } from "../../testing/snapshot-sample.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import type { Cluster } from "./cluster.ts";
import type { Endpoint } from "./endpoint.ts";

interface Sample {
  readonly cluster: Cluster;
  readonly clock: VirtualClock;
}

function sample(settings: object, endpoints: number): Sample {
  const clock = new VirtualClock();
  const snapshot = published(
    {
      clusters: [{ name: "c", service: "reviews", ...settings }],
      endpointSets: [{ cluster: "c", endpoints: some(endpoints) }],
    },
    { clock },
  );
  return { cluster: snapshot.clusters.get("c")!, clock };
}

function some(count: number): { address: string; port: number }[] {
  return Array.from({ length: count }, (_, i) => ({ address: `10.0.0.${i + 1}`, port: 80 }));
}

function failTimes(cluster: Cluster, endpoint: Endpoint, times: number): void {
  for (let i = 0; i < times; i++) cluster.failed(endpoint);
}

/** Addresses that are picked in `times` tries. */
function picked(cluster: Cluster, times = 60): string[] {
  const found = new Set<string>();
  for (let i = 0; i < times; i++) found.add(cluster.pick()!.address);
  return [...found].sort();
}

const outlier = {
  consecutiveErrors: 3,
  intervalMs: 1_000,
  baseEjectionMs: 10_000,
  maxEjectionPercent: 50,
};

describe("outlier ejection", () => {
  test("takes an endpoint out after errors in a row, and back after the base time", () => {
    const { cluster, clock } = sample({ outlier }, 4);
    const bad = cluster.endpoints[0]!;
    failTimes(cluster, bad, 2);
    expect(picked(cluster)).toContain(bad.address);
    cluster.failed(bad);
    expect(picked(cluster)).toEqual(["10.0.0.2", "10.0.0.3", "10.0.0.4"]);
    clock.advance(9_999);
    expect(picked(cluster)).not.toContain(bad.address);
    clock.advance(1);
    expect(picked(cluster)).toContain(bad.address);
    expect(bad.consecutiveErrors).toBe(0);
  });

  test("begins to count again after a success", () => {
    const { cluster } = sample({ outlier }, 4);
    const endpoint = cluster.endpoints[0]!;
    for (let i = 0; i < 5; i++) {
      failTimes(cluster, endpoint, 2);
      cluster.succeeded(endpoint);
    }
    expect(endpoint.ejected).toBe(false);
  });

  test("lasts longer each time, and is forgiven an interval at a time", () => {
    const { cluster, clock } = sample({ outlier }, 4);
    const bad = cluster.endpoints[0]!;
    failTimes(cluster, bad, 3);
    clock.advance(10_000);
    failTimes(cluster, bad, 3);
    clock.advance(19_999);
    expect(bad.ejected).toBe(true);
    clock.advance(1);
    expect(bad.ejected).toBe(false);
    clock.advance(1_500);
    failTimes(cluster, bad, 3);
    clock.advance(20_000);
    expect(bad.ejected).toBe(false);
    clock.advance(60_000);
    failTimes(cluster, bad, 3);
    clock.advance(10_000);
    expect(bad.ejected).toBe(false);
  });

  test("honours times below a second", () => {
    const { cluster, clock } = sample({ outlier: { ...outlier, baseEjectionMs: 250 } }, 4);
    failTimes(cluster, cluster.endpoints[0]!, 3);
    clock.advance(249);
    expect(cluster.endpoints[0]!.ejected).toBe(true);
    clock.advance(1);
    expect(cluster.endpoints[0]!.ejected).toBe(false);
  });

  // biome-ignore format: a table reads as a table
  const rows: readonly [endpoints: number, percent: number, ejected: number][] = [
    [10, 10, 1],
    [10, 25, 2],
    [10, 100, 10],
    [3,  10, 1],
    [3,  50, 1],
    [1,  10, 1],
    [4,  0,  0],
  ];
  for (const [count, percent, ejected] of rows)
    test(`of ${count} endpoints with a maximum of ${percent} % takes ${ejected} at most`, () => {
      const { cluster } = sample({ outlier: { ...outlier, maxEjectionPercent: percent } }, count);
      for (const endpoint of cluster.endpoints) failTimes(cluster, endpoint, 10);
      expect(cluster.endpoints.filter((endpoint) => endpoint.ejected)).toHaveLength(ejected);
    });

  test("of all endpoints leaves all of them in use", () => {
    const { cluster } = sample({ outlier: { ...outlier, maxEjectionPercent: 100 } }, 3);
    for (const endpoint of cluster.endpoints) failTimes(cluster, endpoint, 3);
    expect(picked(cluster)).toEqual(["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
  });

  test("is not done without a policy", () => {
    const { cluster } = sample({}, 2);
    failTimes(cluster, cluster.endpoints[0]!, 100);
    expect(cluster.endpoints[0]!.ejected).toBe(false);
  });

  test("leaves no timer behind once everybody is back", () => {
    const { cluster, clock } = sample({ outlier }, 4);
    failTimes(cluster, cluster.endpoints[0]!, 3);
    expect(clock.waiting).toBe(1);
    clock.advance(10_000);
    expect(clock.waiting).toBe(0);
    failTimes(cluster, cluster.endpoints[0]!, 3);
    cluster.close();
    expect(clock.waiting).toBe(0);
  });
});

describe("a limit", () => {
  const circuitBreaker = {
    maxConnections: 2,
    maxPendingRequests: 1,
    maxRequests: 3,
    maxRetries: 0,
    maxRequestsPerConnection: 7,
  };
  test("refuses what is above it and gives again what was given back", () => {
    const { limits } = sample({ circuitBreaker }, 1).cluster;
    expect([1, 2, 3].map(() => limits.tryAcquireConnection())).toEqual([true, true, false]);
    limits.releaseConnection();
    expect(limits.tryAcquireConnection()).toBe(true);
    expect([1, 2].map(() => limits.tryAcquirePending())).toEqual([true, false]);
    expect([1, 2, 3, 4].map(() => limits.tryAcquireRequest())).toEqual([true, true, true, false]);
    expect(limits.tryAcquireRetry()).toBe(false);
    expect(limits.max.requestsPerConnection).toBe(7);
  });

  const perEndpoint = {
    maxConnections: 2,
    maxPendingRequests: 1,
    maxRequests: 2,
    maxRetries: 1,
  };

  test("of each endpoint leaves others alone", () => {
    const { limits, endpoints } = sample({ circuitBreaker: { perEndpoint } }, 2).cluster;
    const [a, b] = [endpoints[0]!, endpoints[1]!];
    expect([1, 2, 3].map(() => limits.tryAcquireConnection(a))).toEqual([true, true, false]);
    expect(limits.tryAcquireConnection(b)).toBe(true);
    limits.releaseConnection(a);
    expect(limits.tryAcquireConnection(a)).toBe(true);
    expect([1, 2].map(() => limits.tryAcquirePending(a))).toEqual([true, false]);
    expect(limits.tryAcquirePending(b)).toBe(true);
    limits.releasePending(a);
    expect(limits.tryAcquirePending(a)).toBe(true);
    expect([1, 2].map(() => limits.tryAcquireRetry(a))).toEqual([true, false]);
    expect(limits.tryAcquireRetry(b)).toBe(true);
    limits.releaseRetry(a);
    expect(limits.tryAcquireRetry(a)).toBe(true);
  });

  test("of requests at each endpoint: none is picked above it, and the last is refused", () => {
    const { cluster } = sample({ circuitBreaker: { perEndpoint } }, 2);
    for (let i = 0; i < 4; i++) {
      const endpoint = cluster.pick()!;
      expect(cluster.limits.tryAcquireRequest(endpoint)).toBe(true);
      cluster.begin(endpoint);
    }
    expect(cluster.endpoints.map(({ active }) => active)).toEqual([2, 2]);
    const full = cluster.pick()!;
    expect(cluster.limits.tryAcquireRequest(full)).toBe(false);
    cluster.end(full);
    expect(cluster.pick()).toBe(full);
    expect(cluster.limits.tryAcquireRequest(full)).toBe(true);
  });

  test("of each endpoint follows a change of configuration", () => {
    const clock = new VirtualClock();
    const json = (maxRequests: number) => ({
      clusters: [{ name: "c", circuitBreaker: { perEndpoint: { maxRequests } } }],
      endpointSets: [{ cluster: "c", endpoints: some(1) }],
    });
    const former = published(json(2), { clock });
    const { requestsMax } = published(json(5), { clock, former }).clusters.get("c")!.endpoints[0]!;
    expect(requestsMax).toBe(5);
  });

  test("that is not set is none", () => {
    const { limits } = sample({}, 1).cluster;
    for (let i = 0; i < 5_000; i++) expect(limits.tryAcquireConnection()).toBe(true);
    expect(limits.tryAcquireRetry()).toBe(true);
  });

  test("counts across a change of configuration", () => {
    const clock = new VirtualClock();
    const json = (maxRequests: number) => ({
      clusters: [{ name: "c", circuitBreaker: { maxRequests } }],
    });
    const former = published(json(2), { clock });
    const [before] = [...former.clusters.values()];
    expect([1, 2, 3].map(() => before!.limits.tryAcquireRequest())).toEqual([true, true, false]);
    const after = published(json(3), { clock, former }).clusters.get("c")!;
    expect(after).not.toBe(before!);
    expect([1, 2].map(() => after.limits.tryAcquireRequest())).toEqual([true, false]);
    before!.limits.releaseRequest();
    expect(after.limits.tryAcquireRequest()).toBe(true);
  });
});

describe("a cluster of original destinations", () => {
  const { cluster } = sample({ discovery: "DISCOVERY_ORIGINAL" }, 0);
  const pick = (authority: string, defaultPort = 80): string | undefined => {
    const bytes = new TextEncoder().encode(`Host: ${authority}`);
    return cluster.pickOriginal(bytes, 6, bytes.length, defaultPort)?.authority;
  };

  // biome-ignore format: a table reads as a table
  const rows: readonly [authority: string, port: number, endpoint: string | undefined][] = [
    ["example.com",       80,   "example.com:80"],
    ["example.com:8080",  80,   "example.com:8080"],
    ["example.com",       8080, "example.com:8080"],
    ["EXAMPLE.com",       80,   "example.com:80"],
    ["10.0.0.1:9",        80,   "10.0.0.1:9"],
    ["[::1]:9",           80,   "[::1]:9"],
    ["[::1]",             80,   "[::1]:80"],
    ["example.com:0",     80,   undefined],
    ["example.com:70000", 80,   undefined],
    ["a:b:c",             80,   undefined],
  ];
  for (const [authority, port, endpoint] of rows)
    test(`sends "${authority}" at port ${port} to ${endpoint ?? "nobody"}`, () => {
      expect(pick(authority, port)).toBe(endpoint);
    });

  test("for one port means that port where the authority has none", () => {
    const { cluster: own } = sample({ discovery: "DISCOVERY_ORIGINAL", port: 8080 }, 0);
    const bytes = new TextEncoder().encode("example.com");
    expect(own.pickOriginal(bytes, 0, bytes.length, 80)!.authority).toBe("example.com:8080");
  });

  test("keeps the endpoint of an authority, and forgets idle ones when there are too many", () => {
    const { cluster: own } = sample({ discovery: "DISCOVERY_ORIGINAL" }, 0);
    const find = (name: string): Endpoint | undefined => {
      const bytes = new TextEncoder().encode(name);
      return own.pickOriginal(bytes, 0, bytes.length, 80);
    };
    const first = find("first")!;
    own.begin(first);
    expect(find("First")).toBe(first);
    for (let i = 0; i < 3_000; i++) find(`host-${i}`);
    expect(own.endpoints).toHaveLength(1_024);
    expect(find("first")).toBe(first);
    own.end(first);
    for (let i = 0; i < 3_000; i++) find(`other-${i}`);
    expect(first.removed).toBe(true);
    expect(find("first")).not.toBe(first);
  });

  test("has nobody for a new authority while all that it can keep are busy", () => {
    const { cluster: own } = sample({ discovery: "DISCOVERY_ORIGINAL" }, 0);
    for (let i = 0; i < 1_024; i++) {
      const bytes = new TextEncoder().encode(`host-${i}`);
      own.begin(own.pickOriginal(bytes, 0, bytes.length, 80)!);
    }
    const late = new TextEncoder().encode("late");
    expect(own.pickOriginal(late, 0, late.length, 80)).toBeUndefined();
  });
});

test("an address that is named twice is one endpoint", () => {
  const address = { address: "10.0.0.1", port: 80 };
  const snapshot = published({
    clusters: [{ name: "c" }],
    endpointSets: [{ cluster: "c", endpoints: [address, { ...address, port: 81 }, address] }],
  });
  const { endpoints } = snapshot.clusters.get("c")!;
  expect(endpoints.map(({ port }) => port)).toEqual([80, 81]);
});

test("an endpoint that comes later warms up", () => {
  const clock = new VirtualClock();
  clock.advance(60_000);
  const json = (count: number) => ({
    clusters: [
      {
        name: "c",
        loadBalancer: "LOAD_BALANCER_ROUND_ROBIN",
        balancing: { slowStart: { windowMs: 10_000 } },
      },
    ],
    endpointSets: [{ cluster: "c", endpoints: some(count) }],
  });
  const former = published(json(3), { clock });
  clock.advance(20_000);
  const cluster = published(json(4), { clock, former }).clusters.get("c")!;
  let late = 0;
  for (let i = 0; i < 3_100; i++) if (cluster.pick()!.address === "10.0.0.4") late++;
  expect(Math.abs(late - 100)).toBeLessThan(5);
});

test("an IPv6 endpoint is written with brackets", () => {
  const snapshot = published({
    clusters: [{ name: "c" }],
    endpointSets: [{ cluster: "c", endpoints: [{ address: "::1", port: 80 }] }],
  });
  expect(snapshot.clusters.get("c")!.pick()!.authority).toBe("[::1]:80");
});
