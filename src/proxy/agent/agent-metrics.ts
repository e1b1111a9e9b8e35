/** What a scrape learns of the proxy itself: is it ready, what it runs on, does it hear more. */

import type { DiscoveryStatus } from "../../api/discovery/discovery.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { ConfigSource } from "./configuration.ts";
import type { RegistrationStatus } from "./registration.ts";

export interface AgentFacts {
  readonly version: string;
  readonly ready: () => boolean;
  readonly source: () => ConfigSource;
  /** Undefined: there is no manager. */
  readonly discovery: () => DiscoveryStatus | undefined;
  readonly registration: () => RegistrationStatus | undefined;
}

export function exportAgentMetrics(metrics: Metrics, facts: AgentFacts): void {
  metrics.gauge("mesh_build_info", "1, with the version.", { version: facts.version }).set(1);
  const ready = metrics.gauge("mesh_proxy_ready", "1 when it takes traffic.");
  const fromDisk = metrics.gauge(
    "mesh_proxy_config_from_disk",
    "1 while it runs on the configuration of an earlier run, the manager being away.",
  );
  const connected = metrics.gauge("mesh_proxy_manager_connected", "1 while it follows a manager.");
  const updates = metrics.counter("mesh_proxy_config_updates_total", "Versions received.");
  const rejections = metrics.counter("mesh_proxy_config_rejected_total", "Versions refused.");
  const reconnects = metrics.counter("mesh_proxy_manager_lost_total", "Streams that ended.");
  const registered = metrics.gauge("mesh_proxy_registered", "1 while the workload has a lease.");
  const healthy = metrics.gauge("mesh_proxy_application_healthy", "1 while it answers.");
  metrics.beforeScrape(() => {
    ready.set(Number(facts.ready()));
    fromDisk.set(Number(facts.source() === "disk"));
    const discovery = facts.discovery();
    connected.set(Number(discovery?.at === "following"));
    raise(updates, discovery?.updates);
    raise(rejections, discovery?.rejections);
    raise(reconnects, discovery?.reconnects);
    const registration = facts.registration();
    registered.set(Number(registration?.at === "registered"));
    healthy.set(Number(registration?.healthy === true));
  });
}

function raise(counter: { readonly value: number; add(n: number): void }, to = 0): void {
  counter.add(to - counter.value);
}
