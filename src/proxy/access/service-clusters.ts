/** The cluster of a service by what is published, for those who ask without a route. */
import type { Cluster } from "../cluster/cluster.ts";

/** What is published, as far as it is looked at here; the same object as long as it is the same. */
export interface PublishedClusters {
  readonly clusters: ReadonlyMap<string, Cluster>;
}

export class ServiceClusters {
  readonly #published: () => PublishedClusters | undefined;

  constructor(published: () => PublishedClusters | undefined) {
    this.#published = published;
  }

  /** What find() looks at: it finds the same as long as this is the same. */
  get published(): PublishedClusters | undefined {
    return this.#published();
  }

  /**
   * `service`: "opa.default", "opa.default.svc", or a full host name, in lower case. Undefined:
   * nobody knows of it.
   */
  find(service: string, port: number): Cluster | undefined {
    let wide: Cluster | undefined;
    for (const cluster of this.#published()?.clusters.values() ?? []) {
      const { settings, serviceName } = cluster;
      const { host, namespace } = serviceName;
      if (settings.port !== port || isNarrow(cluster)) continue;
      const isShort = namespace !== "" && service.includes(".") && host.startsWith(`${service}.`);
      if (host === service || isShort) return cluster;
      if (host.startsWith("*.") && service.endsWith(host.slice(1))) wide ??= cluster;
    }
    return wide;
  }
}

/** It stands for some of the service's workloads, or for connections that have TLS of their own. */
function isNarrow({ name, settings }: Cluster): boolean {
  return name.startsWith("tunnel|") || Object.keys(settings.labels).length > 0;
}
