/** The manager's metrics of itself and of its process: brought up to date when somebody asks. */
import type { SecureCounts } from "../api/serve-secure.ts";
import { MESH_VERSION } from "../core/version.ts";
import { type Counter, Metrics } from "../telemetry/metrics.ts";
import { addProcessMetrics, type ProcessMetrics } from "../telemetry/process-metrics.ts";
import { PROMETHEUS_CONTENT_TYPE, renderPrometheus } from "../telemetry/prometheus.ts";
import type { AuditCounts } from "./audit/audit-log.ts";
import type { DiscoveryCounts } from "./discovery/discovery.ts";
import type { Sync } from "./discovery/proxy-stream.ts";
import { identityMetrics } from "./identity/identity-metrics.ts";
import type { Manager } from "./manager.ts";

/** What the ports count. */
export interface DoorCounts {
  readonly audit?: () => AuditCounts;
  /** Absent: the API is not served over TLS. */
  readonly secure?: (() => SecureCounts) | undefined;
}

const SYNCS: readonly Sync[] = ["synced", "stale", "rejected", "not-sent"];

export class ManagerMetrics {
  readonly #metrics = new Metrics();
  readonly #process: ProcessMetrics;

  constructor(manager: Manager, { audit, secure }: DoorCounts = {}) {
    this.#process = addProcessMetrics(this.#metrics, manager.options.clock);
    const labels = { version: MESH_VERSION };
    this.#metrics.gauge("mesh_build_info", "The version of this binary.", labels).set(1);
    const refreshState = this.#state(manager);
    const refreshDiscovery = this.#discovery(manager);
    const refreshDoors = this.#doors(audit, secure);
    const { identity } = manager.options;
    const refreshIdentity =
      identity === undefined ? undefined : identityMetrics(this.#metrics, identity);
    this.#metrics.beforeScrape(() => {
      refreshState();
      refreshDiscovery();
      refreshDoors();
      refreshIdentity?.();
    });
  }

  close(): void {
    this.#process.stop();
  }

  fetch(request: Request): Response {
    const { pathname } = new URL(request.url);
    if (pathname === "/healthz") return new Response("ok\n");
    if (pathname !== "/metrics" && pathname !== "/stats/prometheus")
      return new Response("see /metrics\n", { status: 404 });
    return new Response(renderPrometheus([this.#metrics]), {
      headers: { "content-type": PROMETHEUS_CONTENT_TYPE },
    });
  }

  #state(manager: Manager): () => void {
    const gauge = (name: string, help: string) => this.#metrics.gauge(`mesh_manager_${name}`, help);
    const objects = gauge("config_objects", "Objects in force.");
    const services = gauge("services", "Services of all registries.");
    const instances = gauge("instances", "Instances of all registries.");
    const healthy = gauge("instances_healthy", "Instances whose application answers.");
    const revision = gauge("store_revision", "The store's revision.");
    const problems = gauge("config_problems", "Problems of rule files.");
    const bySync = SYNCS.map((sync) => {
      const help = "Connected proxies by sync state.";
      return [sync, this.#metrics.gauge("mesh_manager_proxies", help, { sync })] as const;
    });
    return () => {
      const { configuration, registry, discovery } = manager;
      objects.set(configuration.list().length);
      services.set(registry.services.length);
      instances.set(registry.instances.length);
      healthy.set(registry.instances.filter((instance) => instance.healthy).length);
      revision.set(configuration.revision);
      problems.set(configuration.problems.length);
      const { streams } = discovery;
      for (const [sync, proxies] of bySync)
        proxies.set(streams.filter((stream) => stream.sync === sync).length);
    };
  }

  #doors(audit: DoorCounts["audit"], secure: DoorCounts["secure"]): () => void {
    const refresh: (() => void)[] = [];
    const counter = (name: string, help: string, read: () => number): void => {
      const one = this.#metrics.counter(`mesh_manager_${name}_total`, help);
      refresh.push(() => one.add(read() - one.value));
    };
    const gauge = (name: string, help: string, read: () => number): void => {
      const one = this.#metrics.gauge(`mesh_manager_${name}`, help);
      refresh.push(() => one.set(read()));
    };
    if (audit !== undefined) {
      counter("audited_changes", "Changes in the audit log.", () => audit().changes);
      counter("refusals", "Calls and credentials that were refused.", () => audit().refusals);
    }
    if (secure !== undefined) {
      gauge("tls_connections", "Connections over TLS.", () => secure().connections);
      gauge("tls_handshakes", "Handshakes under way.", () => secure().handshakes);
      const failed = "Handshakes that came to nothing.";
      counter("tls_handshakes_failed", failed, () => secure().failedHandshakes);
      const displaced = "Connections closed because there were too many without a certificate.";
      counter("tls_connections_displaced", displaced, () => secure().displaced);
    }
    return () => {
      for (const one of refresh) one();
    };
  }

  #discovery({ discovery }: Manager): () => void {
    const counter = (name: string, help: string, labels = {}): Counter =>
      this.#metrics.counter(`mesh_manager_${name}_total`, help, labels);
    const updates = "Configurations sent to proxies.";
    const answers = "What proxies said to them.";
    const counters: readonly (readonly [keyof DiscoveryCounts, Counter])[] = [
      ["connections", counter("proxy_connections", "Streams that proxies opened.")],
      ["wholes", counter("updates", updates, { form: "whole" })],
      ["differences", counter("updates", updates, { form: "difference" })],
      ["acknowledged", counter("answers", answers, { answer: "acknowledged" })],
      ["rejected", counter("answers", answers, { answer: "rejected" })],
    ];
    return () => {
      for (const [name, one] of counters) one.add(discovery.counts[name] - one.value);
    };
  }
}
