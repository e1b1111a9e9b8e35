/** Objects as vectors of the manager spell them ─▶ our values. */
import type { EgressRule } from "../../model/egress-rule.ts";
import type { Protocol, Service, ServiceInstance, ServicePort } from "../../model/service.ts";
import type { Endpoint } from "../../model/validate-service.ts";
import { bareName } from "./manager-envoy-route.ts";

export type VectorObject = Readonly<Record<string, unknown>>;

interface VectorPort {
  readonly name?: string;
  readonly port?: number;
  readonly protocol?: string;
}

export interface VectorService {
  readonly hostname?: string;
  readonly address?: string;
  readonly ports?: readonly VectorPort[];
  readonly externalName?: string;
}

export function toPort({ name = "", port = 0, protocol = "TCP" }: VectorPort): ServicePort {
  return { name, number: port, protocol: protocol.toUpperCase() as Protocol };
}

export function toService({ hostname = "", ports = [] }: VectorService): {
  readonly host: string;
  readonly ports: readonly ServicePort[];
} {
  return { host: hostname, ports: ports.map(toPort) };
}

export function toEndpoint(instance: VectorObject): Endpoint {
  const endpoint = (instance.endpoint ?? {}) as VectorObject;
  const servicePort = (endpoint.servicePort ?? endpoint.service_port) as VectorPort | undefined;
  return {
    port: Number(endpoint.port ?? 0),
    servicePort: servicePort && toPort(servicePort),
    labels: (instance.labels ?? instance.tags ?? {}) as Readonly<Record<string, string>>,
  };
}

/** The services that the originals' tests shared. */
export interface RegistryVector {
  readonly services: readonly VectorService[];
}

interface Key {
  readonly host: string;
  readonly port: number;
  /** "host|port|labels" */
  readonly name: string;
}

/**
 * Each service has instances v0 and v1, at its address with the third octet 1 and the version as
 * the fourth; they listen on the service's port if that is 80, else 1000 above it.
 */
export class MockRegistry {
  readonly services: readonly Service[];
  readonly instances: readonly ServiceInstance[];
  /** Where external services are found: under their own names. */
  readonly names: readonly ServiceInstance[];
  readonly #keys = new Map<string, Key>();

  constructor({ services }: RegistryVector) {
    this.services = services.map(toRegistered);
    this.instances = this.services.flatMap((service) =>
      service.external ? [] : ["v0", "v1"].flatMap((version) => instancesOf(service, version)),
    );
    this.names = this.services.flatMap((service) => (service.external ? namesOf(service) : []));
    for (const service of this.services)
      for (const port of service.ports)
        for (const labels of ["", "version=v0", "version=v1"])
          this.#add(`${service.host}|${port.name}`, labels, {
            host: service.host,
            port: port.number,
          });
  }

  /** Ports of an egress rule are services there, named after their protocol. */
  addEgress({ service, ports }: EgressRule): void {
    for (const { port, protocol } of ports)
      this.#add(`${service}|external-${protocol.toUpperCase()}-${port}`, "", {
        host: service,
        port,
      });
  }

  /** By host, port name and labels, or by the hash of that. */
  keyOf(name: string): Key | undefined {
    return this.#keys.get(name);
  }

  /** Our name of the cluster that is "out.…" there; that name where it is unknown. */
  nameOf(cluster: string): string {
    return this.keyOf(cluster.replace(/^out\./, ""))?.name ?? cluster;
  }

  ourName({ name }: { readonly name: string }): string {
    return bareName(name);
  }

  isExternal(host: string): boolean {
    return this.services.some((service) => service.host === host && service.external);
  }

  /** What translation knows of the proxy at an address. */
  nodeAt(ip: string): { service: string; namespace: string; labels: Record<string, string> } {
    const instance = this.instances.find(({ address }) => address === ip);
    return {
      service: instance?.host ?? "",
      namespace: "default",
      labels: { ...instance?.labels },
    };
  }

  #add(plain: string, labels: string, { host, port }: { host: string; port: number }): void {
    const full = labels === "" ? plain : `${plain}|${labels}`;
    const name = labels === "" ? `${host}|${port}` : `${host}|${port}|${labels}`;
    for (const key of [full, Bun.CryptoHasher.hash("sha1", full, "hex")])
      this.#keys.set(key, { host, port, name });
  }
}

function toRegistered(service: VectorService): Service {
  const external = service.externalName !== undefined;
  return {
    ...toService(service),
    namespace: "default",
    addresses: service.address ? [service.address] : [],
    resolution: external ? "DNS" : "STATIC",
    external,
    registry: "mock",
  };
}

function instancesOf(service: Service, version: string): readonly ServiceInstance[] {
  const [first, second] = (service.addresses[0] ?? "").split(".");
  return service.ports.map(({ number }) => ({
    ...plain,
    host: service.host,
    address: `${first}.${second}.1.${version.slice(1)}`,
    port: number === 80 ? number : number + 1_000,
    servicePort: number,
    labels: { version },
    workload: `${service.host}-${version}`,
  }));
}

function namesOf({ host, ports }: Service): readonly ServiceInstance[] {
  return ports.map(({ number }) => ({
    ...plain,
    host,
    address: host,
    port: number,
    servicePort: number,
    labels: {},
    workload: host,
  }));
}

const plain = { locality: "", weight: 1, healthy: true };
