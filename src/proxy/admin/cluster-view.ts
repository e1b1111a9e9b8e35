/**
 * A cluster as /clusters shows it: plain data, which another thread may send. Threads that carry
 * the same cluster are shown as one: their load added up, and an endpoint as bad as the most
 * cautious of them thinks, since each judges for itself.
 */
import type { Cluster, ClusterSettings } from "../cluster/cluster.ts";
import type { Endpoint, EndpointFacts } from "../cluster/endpoint.ts";

export interface EndpointView extends EndpointFacts {
  /** "10.0.0.1:9080" */
  readonly address: string;
  /** Envoy's flags, or "healthy". */
  readonly health: string;
  readonly weight: number;
  readonly healthCheck: Endpoint["check"];
  readonly activeRequests: number;
  readonly consecutiveErrors: number;
}

type Shown = "service" | "port" | "labels" | "discovery" | "protocol" | "loadBalancer" | "origins";

export interface ClusterView extends Pick<ClusterSettings, Shown> {
  readonly name: string;
  readonly panics: boolean;
  readonly endpoints: readonly EndpointView[];
}

export function viewCluster(cluster: Cluster): ClusterView {
  const { name, settings } = cluster;
  return {
    name,
    service: settings.service,
    port: settings.port,
    labels: settings.labels,
    discovery: settings.discovery,
    protocol: settings.protocol,
    loadBalancer: settings.loadBalancer,
    panics: cluster.panics,
    origins: settings.origins,
    endpoints: cluster.endpoints.map((endpoint) => ({
      address: endpoint.authority,
      ...endpoint.facts,
      health: healthOf(endpoint.check, endpoint.ejected),
      weight: endpoint.weight,
      healthCheck: endpoint.check,
      activeRequests: endpoint.active,
      consecutiveErrors: endpoint.consecutiveErrors,
    })),
  };
}

/** Of several threads; the first one's order. */
export function mergeClusters(threads: readonly (readonly ClusterView[])[]): ClusterView[] {
  const byName = new Map<string, ClusterView>();
  for (const cluster of threads.flat()) {
    const known = byName.get(cluster.name);
    byName.set(cluster.name, known === undefined ? cluster : together(known, cluster));
  }
  return [...byName.values()];
}

function together(one: ClusterView, other: ClusterView): ClusterView {
  const endpoints = new Map(one.endpoints.map((endpoint) => [endpoint.address, endpoint]));
  for (const endpoint of other.endpoints) {
    const known = endpoints.get(endpoint.address);
    endpoints.set(endpoint.address, known === undefined ? endpoint : worse(known, endpoint));
  }
  return { ...one, panics: one.panics || other.panics, endpoints: [...endpoints.values()] };
}

function worse(one: EndpointView, other: EndpointView): EndpointView {
  const checks = [one.healthCheck, other.healthCheck];
  const healthCheck = SEVERITY.find((check) => checks.includes(check)) ?? one.healthCheck;
  const ejected = [one.health, other.health].some((health) => health.includes(EJECTED));
  return {
    ...one,
    health: healthOf(healthCheck, ejected),
    healthCheck,
    activeRequests: one.activeRequests + other.activeRequests,
    consecutiveErrors: Math.max(one.consecutiveErrors, other.consecutiveErrors),
  };
}

const EJECTED = "/failed_outlier_check";
const SEVERITY: readonly Endpoint["check"][] = ["unhealthy", "pending"];

/** Envoy's flags, as it writes them: "/failed_active_hc/failed_outlier_check", or "healthy". */
function healthOf(check: Endpoint["check"], ejected: boolean): string {
  const flags = [
    check === "unhealthy" ? "/failed_active_hc" : "",
    check === "pending" ? "/pending_active_hc" : "",
    ejected ? EJECTED : "",
  ].join("");
  return flags === "" ? "healthy" : flags;
}
