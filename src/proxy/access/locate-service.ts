/** Where a service of the mesh is, by what is published: for steps that ask others. */
import type { Snapshot } from "../snapshot/snapshot.ts";
import type { ServicePlace } from "./access-step.ts";

/** `service`: "opa.default", or a full host name. Undefined: it is none, or nobody is there. */
export function locateService(
  snapshot: Snapshot | undefined,
  service: string,
  port: number,
): ServicePlace | undefined {
  for (const { settings, endpoints, serviceName } of snapshot?.clusters.values() ?? []) {
    const { host, name, namespace } = serviceName;
    const isNamed = host === service || (namespace !== "" && `${name}.${namespace}` === service);
    const [endpoint] = endpoints;
    if (isNamed && settings.port === port && endpoint !== undefined)
      return { hostname: endpoint.address, port: endpoint.port };
  }
  return undefined;
}
