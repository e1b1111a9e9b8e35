/**
 * Who runs where, as far as a proxy knows: itself, and the endpoints that it may call. It speaks of
 * both in attributes of its own, so generators find here only what those leave out.
 */
import type { KnownWorkload } from "../../policy/workload-directory.ts";
import type { Endpoint } from "../cluster/endpoint.ts";
import type { ServiceName } from "../cluster/service-name.ts";
import type { PolicyNode } from "./workload.ts";

/** What of a cluster says who runs there. */
export interface Members {
  readonly serviceName: ServiceName;
  readonly endpoints: readonly Pick<Endpoint, "address" | "port" | "facts">[];
}

/** The proxy itself first: of two with one id the first counts. */
export function* workloadsOf(
  { id, service, namespace, labels, address }: PolicyNode,
  clusters: Iterable<Members>,
): Iterable<KnownWorkload> {
  const services = service === "" ? [] : [service];
  yield { id, namespace, serviceAccount: "", labels, services, addresses: [address], ports: [] };
  for (const { serviceName, endpoints } of clusters)
    for (const { address, port, facts } of endpoints) {
      // "reviews-1x8k2m.default": what is without a namespace is no workload of the mesh.
      const { workload, labels } = facts;
      const { host, namespace } = serviceName;
      if (namespace === "" || !workload.includes(".")) continue;
      const place = { addresses: [address], ports: [port], services: [host] };
      yield { id: workload, namespace, serviceAccount: "", labels, ...place };
    }
}
