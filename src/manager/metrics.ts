/** The manager's metrics of itself. */
import { MESH_VERSION } from "../core/version.ts";
import { type Gauge, Metrics } from "../telemetry/metrics.ts";
import { PROMETHEUS_CONTENT_TYPE, renderPrometheus } from "../telemetry/prometheus.ts";
import type { Sync } from "./discovery/proxy-stream.ts";
import type { Manager } from "./manager.ts";

const SYNCS: readonly Sync[] = ["synced", "stale", "rejected", "not-sent"];

export class ManagerMetrics {
  readonly #metrics = new Metrics();

  constructor(manager: Manager) {
    const metrics = this.#metrics;
    metrics
      .gauge("mesh_build_info", "The version of this binary.", { version: MESH_VERSION })
      .set(1);
    const proxies = new Map<Sync, Gauge>(
      SYNCS.map((sync) => [
        sync,
        metrics.gauge("mesh_manager_proxies", "Connected proxies by sync state.", { sync }),
      ]),
    );
    const objects = metrics.gauge("mesh_manager_config_objects", "Objects in force.");
    const services = metrics.gauge("mesh_manager_services", "Services of all registries.");
    const instances = metrics.gauge("mesh_manager_instances", "Instances of all registries.");
    const revision = metrics.gauge("mesh_manager_store_revision", "The store's revision.");
    const problems = metrics.gauge("mesh_manager_config_problems", "Problems of rule files.");
    metrics.beforeScrape(() => {
      for (const gauge of proxies.values()) gauge.set(0);
      for (const { sync } of manager.discovery.streams.values()) proxies.get(sync)?.add(1);
      objects.set(manager.configuration.list().length);
      services.set(manager.registry.services.length);
      instances.set(manager.registry.instances.length);
      revision.set(manager.configuration.revision);
      problems.set(manager.configuration.problems.length);
    });
  }

  fetch(request: Request): Response {
    const { pathname } = new URL(request.url);
    if (pathname !== "/metrics" && pathname !== "/stats/prometheus")
      return new Response("see /metrics\n", { status: 404 });
    return new Response(renderPrometheus([this.#metrics]), {
      headers: { "content-type": PROMETHEUS_CONTENT_TYPE },
    });
  }
}
