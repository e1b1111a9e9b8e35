/**
 * Services and instances as translation looks them up: by host, each list in one order however the
 * registries delivered it.
 */
import type { Service, ServiceInstance, ServicePort } from "../../model/service.ts";
import { compare } from "../order.ts";

export class Catalog {
  /** By rising host. */
  readonly services: readonly Service[];
  readonly #byHost: ReadonlyMap<string, Service>;
  readonly #instances: ReadonlyMap<string, readonly ServiceInstance[]>;

  constructor(services: readonly Service[], instances: readonly ServiceInstance[]) {
    this.services = services.toSorted((a, b) => compare(a.host, b.host));
    this.#byHost = new Map(this.services.map((service) => [service.host, service]));
    const byHost = Map.groupBy(instances, (instance) => instance.host);
    for (const [host, list] of byHost) byHost.set(host, list.toSorted(compareInstances));
    this.#instances = byHost;
  }

  service(host: string): Service | undefined {
    return this.#byHost.get(host);
  }

  /** That have instances. */
  hosts(): Iterable<string> {
    return this.#instances.keys();
  }

  instances(host: string): readonly ServiceInstance[] {
    return this.#instances.get(host) ?? [];
  }
}

export function isHttpPort(port: ServicePort): boolean {
  return port.protocol === "HTTP" || port.protocol === "HTTP2" || port.protocol === "GRPC";
}

/** Requests to a port of HTTPS outside of the mesh: the caller's proxy makes the TLS. */
export function originatesTls(service: Service | undefined, port: ServicePort): boolean {
  return service?.external === true && port.protocol === "HTTPS";
}

function compareInstances(a: ServiceInstance, b: ServiceInstance): number {
  return (
    compare(a.address, b.address) ||
    a.port - b.port ||
    a.servicePort - b.servicePort ||
    compare(a.workload, b.workload)
  );
}
