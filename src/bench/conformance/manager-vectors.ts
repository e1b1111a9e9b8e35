/** Objects as vectors of the manager spell them ─▶ our values. */
import type { Protocol, ServicePort } from "../../model/service.ts";
import type { Endpoint } from "../../model/validate-service.ts";

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
