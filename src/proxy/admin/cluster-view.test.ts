/** A cluster that several threads carry, shown as one. */
import { expect, test } from "bun:test";
import { published } from "../../testing/snapshot-sample.ts";
import type { Endpoint } from "../cluster/endpoint.ts";
import { mergeClusters, viewCluster } from "./cluster-view.ts";

/** What one thread sees, after `change` of its endpoints. */
function thread(addresses: readonly string[], change: (...endpoints: Endpoint[]) => void) {
  const endpoints = addresses.map((address) => ({ address, port: 80 }));
  const snapshot = published({
    clusters: [{ name: "c", service: "svc" }],
    endpointSets: [{ cluster: "c", endpoints }],
  });
  const cluster = snapshot.clusters.get("c")!;
  change(...cluster.endpoints);
  const view = [viewCluster(cluster)];
  snapshot.close();
  return view;
}

test("load is added up, and the worst opinion of an endpoint is shown", () => {
  const one = thread(["10.0.0.1", "10.0.0.2"], (first, second) => {
    first!.active = 2;
    first!.ejected = true;
    second!.consecutiveErrors = 3;
  });
  const two = thread(["10.0.0.1", "10.0.0.2"], (first, second) => {
    first!.active = 5;
    first!.check = "unhealthy";
    second!.consecutiveErrors = 1;
    second!.check = "pending";
  });
  const [merged, ...others] = mergeClusters([one, two]);
  expect(others).toEqual([]);
  expect(merged).toMatchObject({ name: "c", service: "svc", panics: false });
  expect(merged!.endpoints).toMatchObject([
    {
      address: "10.0.0.1:80",
      health: "/failed_active_hc/failed_outlier_check",
      healthCheck: "unhealthy",
      activeRequests: 7,
    },
    { health: "/pending_active_hc", activeRequests: 0, consecutiveErrors: 3 },
  ]);
  expect(mergeClusters([two, one])[0]!.endpoints[0]!.health).toBe(merged!.endpoints[0]!.health);
});

test("panic is shown while one of them is in it", () => {
  const calm = thread(["10.0.0.1"], () => {});
  const panicking = calm.map((cluster) => ({ ...cluster, panics: true }));
  for (const both of [
    [calm, panicking],
    [panicking, calm],
  ])
    expect(mergeClusters(both)[0]!.panics).toBe(true);
  expect(mergeClusters([calm, calm])[0]!.panics).toBe(false);
});

test("an endpoint or a cluster that only one of them has yet is shown too", () => {
  const one = thread(["10.0.0.1"], () => {});
  const two = thread(["10.0.0.1", "10.0.0.9"], () => {});
  const names = mergeClusters([one, two, []])[0]!.endpoints.map(({ address }) => address);
  expect(names).toEqual(["10.0.0.1:80", "10.0.0.9:80"]);
  expect(mergeClusters([[], one])).toEqual(one);
  expect(mergeClusters([])).toEqual([]);
});
