/** The golden metrics of a proxy, as Istio's and Envoy's users query them. */
import { describe, expect, test } from "bun:test";
import { Failures } from "../../core/failure.ts";
import { Metrics } from "../../telemetry/metrics.ts";
import { renderPrometheus } from "../../telemetry/prometheus.ts";
import { published } from "../../testing/snapshot-sample.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import type { Cluster } from "./cluster.ts";

const json = {
  clusters: [{ name: "outbound|80||reviews", service: "reviews.default" }],
  endpointSets: [
    {
      cluster: "outbound|80||reviews",
      endpoints: [
        { address: "10.0.0.1", port: 80, labels: { version: "v1" } },
        { address: "10.0.0.2", port: 80, labels: { version: "v2" } },
      ],
    },
  ],
};

function start(): { metrics: Metrics; snapshot: Snapshot; cluster: Cluster } {
  const metrics = new Metrics();
  const snapshot = published(json, { metrics });
  return { metrics, snapshot, cluster: snapshot.clusters.get("outbound|80||reviews")! };
}

/** Lines of a family, without comments. */
function series(metrics: Metrics, name: string): string[] {
  return renderPrometheus([metrics])
    .split("\n")
    .filter((line) => line.startsWith(`${name}{`));
}

/** Labels are in the order of their names. */
function labels(version: string, outcome = ""): string {
  return (
    `destination_service="reviews.default",destination_version="${version}",reporter="source",` +
    `request_protocol="http",${outcome}source_version="v1",source_workload="productpage"`
  );
}

function outcome(code: number, flag: string): string {
  return `response_code="${code}",response_flags="${flag}",`;
}

describe("requests", () => {
  test("are counted by version, status and flag, with their duration and bytes", () => {
    const { metrics, cluster } = start();
    const [v1, v2] = cluster.endpoints;
    v1!.stats.record(200, undefined, 3);
    v1!.stats.record(200, undefined, 7);
    v1!.stats.record(503, Failures.connectFailure, 1);
    v2!.stats.record(404, undefined, 1);
    v1!.stats.recordBytes(10, 200);
    expect(series(metrics, "istio_requests_total").sort()).toEqual([
      `istio_requests_total{${labels("v1", outcome(200, "-"))}} 2`,
      `istio_requests_total{${labels("v1", outcome(503, "UF"))}} 1`,
      `istio_requests_total{${labels("v2", outcome(404, "-"))}} 1`,
    ]);
    const duration = "istio_request_duration_milliseconds";
    expect(series(metrics, `${duration}_count`).join()).toContain(`{${labels("v1")}} 3`);
    expect(series(metrics, `${duration}_sum`).join()).toContain(`{${labels("v1")}} 11`);
    expect(series(metrics, "istio_request_bytes_sum")).toEqual([
      `istio_request_bytes_sum{${labels("v1")}} 10`,
    ]);
    expect(series(metrics, "istio_response_bytes_sum")).toEqual([
      `istio_response_bytes_sum{${labels("v1")}} 200`,
    ]);
  });

  test("with all statuses that a service can think of stay a bounded number of series", () => {
    const { metrics, cluster } = start();
    const { stats } = cluster.endpoints[0]!;
    for (let status = 100; status < 1_000; status++) stats.record(status, undefined, 1);
    const found = series(metrics, "istio_requests_total");
    expect(found.length).toBeLessThanOrEqual(40);
    const total = found.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
    expect(total).toBe(900);
    expect(found.join()).toContain('response_code="5xx"');
  });

  test("that fail with any status stay a bounded number of series", () => {
    const { metrics, cluster } = start();
    const { stats } = cluster.endpoints[0]!;
    for (let status = 0; status < 1_000; status++) stats.record(status, Failures.upstreamReset, 1);
    expect(series(metrics, "istio_requests_total").length).toBeLessThanOrEqual(12);
  });
});

describe("a cluster", () => {
  test("that is never used has no series", () => {
    const { metrics } = start();
    expect(renderPrometheus([metrics])).not.toContain("reviews");
  });

  test("shows its members and those in rotation once it is used", () => {
    const { metrics, cluster } = start();
    cluster.limits.tryAcquireRequest();
    const text = renderPrometheus([metrics]);
    const name = '{envoy_cluster_name="outbound|80||reviews"}';
    expect(text).toContain(`envoy_cluster_membership_total${name} 2`);
    expect(text).toContain(`envoy_cluster_membership_healthy${name} 2`);
    expect(text).toContain(`envoy_cluster_upstream_rq_active${name} 1`);
  });

  test("keeps its counts when its configuration changes, and loses its series when it goes", () => {
    const { metrics, snapshot, cluster } = start();
    cluster.endpoints[0]!.stats.record(200, undefined, 1);
    cluster.limits.tryAcquireRequest();
    const changed = structuredClone(json);
    Object.assign(changed.clusters[0]!, { connectTimeoutMs: 5 });
    const second = published(changed, { metrics, former: snapshot });
    snapshot.retire();
    second.clusters.get("outbound|80||reviews")!.limits.tryAcquireRequest();
    expect(series(metrics, "envoy_cluster_upstream_rq_total")).toEqual([
      'envoy_cluster_upstream_rq_total{envoy_cluster_name="outbound|80||reviews"} 2',
    ]);
    published({}, { metrics, former: second });
    expect(series(metrics, "istio_requests_total")).toHaveLength(1);
    second.retire();
    expect(series(metrics, "istio_requests_total")).toHaveLength(0);
    expect(renderPrometheus([metrics])).not.toContain("reviews");
  });

  test("that has gone counts its last connection out, in no other series", () => {
    const { metrics, snapshot, cluster } = start();
    cluster.limits.tryAcquireConnection();
    published({}, { metrics, former: snapshot });
    snapshot.retire();
    const others = Array.from({ length: 50 }, (_, i) => metrics.gauge(`other_${i}`, "Another."));
    for (const other of others) other.set(7);
    expect(series(metrics, "envoy_cluster_upstream_cx_active")).toHaveLength(1);
    cluster.limits.releaseConnection();
    expect(others.map(({ value }) => value)).toEqual(new Array(50).fill(7));
    expect(renderPrometheus([metrics])).not.toContain("reviews");
  });
});
