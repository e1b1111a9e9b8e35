/** For tests: endpoints as a cluster has them, without a cluster. */
import { Endpoint } from "../proxy/cluster/endpoint.ts";
import { RequestStats } from "../proxy/cluster/request-stats.ts";
import { Metrics } from "../telemetry/metrics.ts";

/** 10.0.0.1 and so on, with these weights; all in the locality, if one is given. */
export function endpointsOf(weights: readonly number[], locality = ""): Endpoint[] {
  const labels = { source: "", sourceVersion: "", service: "", version: "" };
  const stats = new RequestStats({ reporter: "source", ...labels }, new Metrics({ seriesMax: 10 }));
  return weights.map((weight, i) => {
    const at = { address: `10.0.${i >> 8}.${i & 255}`, port: 9080 };
    const facts = { labels: {}, workload: "", locality, meshTransport: false, identity: "" };
    const endpoint = new Endpoint(at, facts, stats);
    endpoint.weight = weight;
    return endpoint;
  });
}

export function equals(count: number): Endpoint[] {
  return endpointsOf(Array.from({ length: count }, () => 1));
}
