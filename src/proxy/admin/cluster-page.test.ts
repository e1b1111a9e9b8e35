/** What /clusters says of health, in the words that Envoy's users grep for. */
import { expect, test } from "bun:test";
import { published } from "../../testing/snapshot-sample.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import type { Prober } from "../cluster/health/prober.ts";
import { viewCluster } from "./cluster-view.ts";
import { configPages } from "./config-pages.ts";
import type { ProxyView } from "./proxy-view.ts";

/** 10.0.0.1 is bad, 10.0.0.2 does not answer, others are good. */
const prober: Prober = {
  start({ address }, _probe, tell) {
    if (address === "10.0.0.1") queueMicrotask(() => tell("failed"));
    else if (address !== "10.0.0.2") queueMicrotask(() => tell("passed"));
    return () => {};
  },
};

async function clustersPage(ejects: boolean): Promise<string> {
  const clock = new VirtualClock();
  const addresses = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"];
  const snapshot = published(
    {
      clusters: [
        {
          name: "c",
          loadBalancer: "LOAD_BALANCER_MAGLEV",
          healthCheck: { http: { path: "/" } },
          outlier: { consecutiveErrors: 1, maxEjectionPercent: 100 },
        },
      ],
      endpointSets: [
        {
          cluster: "c",
          endpoints: addresses.map((address) => ({ address, port: 80, locality: "eu/a/1" })),
        },
      ],
    },
    { clock, prober },
  );
  clock.advance(100);
  await Promise.resolve();
  const cluster = snapshot.clusters.get("c")!;
  if (ejects) cluster.answered(cluster.endpoints[2]!, 500, 1, 0);
  const page = configPages.find(({ path }) => path === "/clusters")!;
  const clusters = [...snapshot.clusters.values()].map(viewCluster);
  const view = { clusters: () => clusters } as unknown as ProxyView;
  const response = await page.answer(view, new URLSearchParams());
  snapshot.close();
  return await response.text();
}

test("health is shown for each endpoint, and both reasons may be", async () => {
  const text = await clustersPage(true);
  const flags = text.split("\n").filter((line) => line.includes("health_flags"));
  expect(flags).toEqual([
    "c::10.0.0.1:80::health_flags::/failed_active_hc",
    "c::10.0.0.2:80::health_flags::/pending_active_hc",
    "c::10.0.0.3:80::health_flags::/failed_outlier_check",
    "c::10.0.0.4:80::health_flags::healthy",
  ]);
  expect(text).toContain("c::load_balancer::maglev");
  expect(text).toContain("c::10.0.0.4:80::locality::eu/a/1");
});

test("panic is shown while it lasts", async () => {
  expect(await clustersPage(true)).toContain("c::panic::true");
  expect(await clustersPage(false)).not.toContain("panic");
});
