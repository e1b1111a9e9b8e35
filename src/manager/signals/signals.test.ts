/** Golden signals, from what proxies count. */
import { afterEach, describe, expect, test } from "bun:test";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { goldenSignals, quantileMs } from "./golden-signals.ts";
import { countsSince, readRequestCounts } from "./request-counts.ts";
import { SignalReader } from "./signal-reader.ts";

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0).reverse()) close();
});

interface Sample {
  readonly reporter?: string;
  readonly version?: string;
  readonly source?: string;
  readonly ok?: number;
  readonly failed?: number;
}

/** What a proxy's admin port says: every request took between 1 and 5 ms. */
function scrape(...samples: readonly Sample[]): string {
  return samples
    .flatMap(({ reporter = "source", version = "v1", source = "web", ok = 0, failed = 0 }) => {
      const labels =
        `destination_service="reviews",destination_version="${version}",` +
        `reporter="${reporter}",source_workload="${source}"`;
      const bucket = (le: string, count: number): string =>
        `istio_request_duration_milliseconds_bucket{${labels},le="${le}"} ${count}`;
      return [
        "# TYPE istio_requests_total counter",
        `istio_requests_total{${labels},response_code="200",response_flags="-"} ${ok}`,
        `istio_requests_total{${labels},response_code="503",response_flags="UH"} ${failed}`,
        bucket("1", 0),
        bucket("5", ok + failed),
        bucket("+Inf", ok + failed),
        `envoy_cluster_upstream_rq_total{envoy_cluster_name="reviews"} 99`,
      ];
    })
    .join("\n");
}

describe("counts", () => {
  test("are read by caller, service and version, whatever else the text holds", () => {
    const counts = readRequestCounts(scrape({ ok: 3, failed: 1 }, { version: "v2", ok: 5 }));
    expect(
      [...counts.values()].map(({ version, requests, failures }) => [version, requests, failures]),
    ).toEqual([
      ["v1", 4, 1],
      ["v2", 5, 0],
    ]);
  });

  test("are not misled by quotes, braces and commas in labels, nor by nonsense", () => {
    const odd = `istio_requests_total{destination_service="a\\"},b",reporter="source"} 2`;
    const counts = readRequestCounts(
      [odd, "istio_requests_total{", "istio_requests_total{} x"].join("\n"),
    );
    expect([...counts.values()]).toMatchObject([{ service: `a\\"},b`, requests: 2 }]);
  });

  test("since the last reading are what was added, or all where a proxy started anew", () => {
    const first = readRequestCounts(scrape({ ok: 10, failed: 2 }));
    const later = readRequestCounts(scrape({ ok: 14, failed: 3 }));
    const since = (a: typeof first, b: typeof first) =>
      [...countsSince(a, b).values()].map(({ requests, failures, buckets }) => [
        requests,
        failures,
        buckets.get(5),
      ]);
    expect(since(first, later)).toEqual([[5, 1, 5]]);
    expect(since(later, readRequestCounts(scrape({ ok: 1 })))).toEqual([[1, 0, 1]]);
    expect(since(first, first)).toEqual([]);
  });
});

describe("signals", () => {
  test("are rate, success and latency, of the service and of each version", () => {
    const window = [readRequestCounts(scrape({ ok: 90 }, { version: "v2", ok: 5, failed: 5 }))];
    const reviews = goldenSignals(window, 10_000).get("reviews");
    expect(reviews).toMatchObject({
      requestsPerSecond: 10,
      successPercent: 95,
      p50Ms: 3,
      p99Ms: 5,
    });
    expect(reviews?.versions).toMatchObject({
      v1: { requestsPerSecond: 9, successPercent: 100 },
      v2: { requestsPerSecond: 1, successPercent: 50 },
    });
    expect(reviews?.callers).toEqual({ web: 10 });
  });

  test("are the callers' view where there is one, so that nothing is counted twice", () => {
    const both = [
      readRequestCounts(scrape({ ok: 10 })),
      readRequestCounts(scrape({ reporter: "destination", ok: 10 })),
    ];
    expect(goldenSignals(both, 1_000).get("reviews")?.requestsPerSecond).toBe(10);
    expect(goldenSignals(both.slice(1), 1_000).get("reviews")?.requestsPerSecond).toBe(10);
  });

  const quantiles: readonly (readonly [
    buckets: readonly [number, number][],
    q: number,
    ms: number,
  ])[] = [
    [[], 0.5, 0],
    [
      [
        [1, 0],
        [10, 0],
        [Number.POSITIVE_INFINITY, 0],
      ],
      0.99,
      0,
    ],
    [
      [
        [1, 100],
        [10, 100],
        [Number.POSITIVE_INFINITY, 100],
      ],
      0.5,
      0.5,
    ],
    [
      [
        [1, 0],
        [10, 100],
        [Number.POSITIVE_INFINITY, 100],
      ],
      0.5,
      5.5,
    ],
    [
      [
        [1, 0],
        [10, 0],
        [Number.POSITIVE_INFINITY, 100],
      ],
      0.5,
      10,
    ],
  ];
  test.each(quantiles)("from buckets %j the quantile %p is %p ms", (buckets, quantile, ms) => {
    expect(quantileMs(new Map(buckets), quantile)).toBe(ms);
  });
});

describe("reading", () => {
  function open(watched: () => boolean) {
    let requests = 0;
    let text = scrape({ ok: 0 });
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: () => {
        requests++;
        return new Response(text);
      },
    });
    const clock = new VirtualClock();
    let read = Promise.withResolvers<void>();
    const addresses = [`127.0.0.1:${server.port}`, "192.0.2.1:15000", "127.0.0.1:15000@evil", ""];
    const reader = new SignalReader({
      clock,
      addresses: () => addresses,
      isWatched: watched,
      onRead: () => read.resolve(),
    });
    closing.push(
      () => void server.stop(true),
      () => reader.close(),
    );
    return {
      reader,
      clock,
      requests: () => requests,
      says: (sample: Sample) => {
        text = scrape(sample);
      },
      async turn() {
        read = Promise.withResolvers();
        clock.advance(2_000);
        await read.promise;
        await Promise.resolve();
      },
    };
  }

  test("asks loopback admin ports, and tells what was counted since", async () => {
    const mesh = open(() => true);
    await mesh.turn();
    mesh.says({ ok: 20 });
    await mesh.turn();
    expect(mesh.reader.signals().get("reviews")?.requestsPerSecond).toBe(10);
    expect(mesh.requests()).toBe(2);
  });

  test("asks nobody while nobody looks", async () => {
    let watched = false;
    const mesh = open(() => watched);
    mesh.clock.advance(60_000);
    expect(mesh.requests()).toBe(0);
    watched = true;
    await mesh.turn();
    expect(mesh.requests()).toBe(1);
    mesh.reader.close();
    expect(mesh.clock.waiting).toBe(0);
  });
});
