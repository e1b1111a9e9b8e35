/** The recorded endpoints of service keys ("host|port name|labels"), against our endpoint sets. */
import { endpointSetOf } from "../../manager/translate/cluster.ts";
import type { MockRegistry } from "./manager-vectors.ts";

interface Hosts {
  readonly hosts: readonly { readonly ip_address: string; readonly port: number }[];
}

interface Keyed extends Hosts {
  readonly "service-key": string;
}

/** What differs; empty if nothing does. */
export function compareEndpoints(
  { name, url, expected }: { name: string; url: string; expected?: unknown },
  registry: MockRegistry,
): readonly string[] {
  if (Array.isArray(expected)) {
    const keyed = expected as readonly Keyed[];
    return keyed.flatMap((one) => compareOne(one["service-key"], one, registry));
  }
  const key = decodeURIComponent(url.slice("/v1/registration/".length));
  // That test asked for one version; its labels are missing from the recorded URL.
  const full = /-v1\.json$/.test(name) && !key.includes("version=") ? `${key}|version=v1` : key;
  return compareOne(full, expected as Hosts, registry);
}

function compareOne(key: string, { hosts }: Hosts, registry: MockRegistry): readonly string[] {
  const wanted = hosts.map(({ ip_address, port }) => `${ip_address}:${port}`).toSorted();
  const given = endpointsOf(key, registry).toSorted();
  return Bun.deepEquals(wanted, given) ? [] : [`${key}: ${given}, not ${wanted}`];
}

function endpointsOf(name: string, registry: MockRegistry): readonly string[] {
  const key = registry.keyOf(name);
  if (key === undefined) return [];
  const { host, port } = key;
  const version = /version=(\w+)/.exec(name)?.[1];
  const labels: Record<string, string> = version === undefined ? {} : { version };
  const instances = registry.instances.filter((instance) => instance.host === host);
  return endpointSetOf({ host, port, labels }, instances).endpoints.map(
    (endpoint) => `${endpoint.address}:${endpoint.port}`,
  );
}
