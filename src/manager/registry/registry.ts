/**
 * What exists, as one registry tells it, and how several are merged: the first that names a host
 * says what it is, the others add ports and instances. An address that an earlier registry lists
 * is that registry's; within one, it may stand for several versions.
 */
import type { Position } from "../../core/problem.ts";
import type { Service, ServiceInstance } from "../../model/service.ts";
import { equalLabels } from "../translate/labels.ts";

export interface Registry {
  readonly services: readonly Service[];
  readonly instances: readonly ServiceInstance[];
  /** Where a person wrote a service, by host. */
  readonly origins: ReadonlyMap<string, Position>;
}

export function mergeRegistries(registries: readonly Registry[]): Registry {
  const services = new Map<string, Service>();
  const instances = new Map<string, ServiceInstance[]>();
  const origins = new Map<string, Position>();
  for (const registry of registries) {
    for (const service of registry.services) {
      const former = services.get(service.host);
      services.set(service.host, former === undefined ? service : mergePorts(former, service));
    }
    for (const [key, some] of Map.groupBy(registry.instances, addressKey))
      if (!instances.has(key)) instances.set(key, distinct(some));
    for (const [host, origin] of registry.origins)
      if (!origins.has(host)) origins.set(host, origin);
  }
  return { services: [...services.values()], instances: [...instances.values()].flat(), origins };
}

function addressKey({ host, servicePort, address, port }: ServiceInstance): string {
  return `${host}|${servicePort}|${address}|${port}`;
}

function distinct(instances: readonly ServiceInstance[]): ServiceInstance[] {
  const found: ServiceInstance[] = [];
  for (const instance of instances)
    if (!found.some(({ labels }) => equalLabels(labels, instance.labels))) found.push(instance);
  return found;
}

function mergePorts(service: Service, more: Service): Service {
  const known = new Set(service.ports.map(({ number }) => number));
  const added = more.ports.filter(({ number }) => !known.has(number));
  return added.length === 0 ? service : { ...service, ports: [...service.ports, ...added] };
}
