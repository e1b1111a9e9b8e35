/**
 * What a configuration means to an application whose traffic is captured: the names it may ask for,
 * the addresses that stand for them, and which virtual host serves what it sends there.
 */

import {
  Cluster_Discovery,
  type ProxyConfig,
  type VirtualHost,
} from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { isIP } from "../../http/ip-literal.ts";
import { allocateAddresses } from "./service-address.ts";

export interface CapturedService {
  /** Full host name. */
  readonly host: string;
  /** By which it may be asked for, lower case. */
  readonly names: readonly string[];
  /** Its virtual addresses; where it has none, one that was made up. */
  readonly addresses: readonly string[];
  readonly ports: readonly CapturedPort[];
}

export interface CapturedPort {
  readonly port: number;
  /** Index into the configuration's, and the snapshot's, virtual hosts. */
  readonly virtualHost: number;
}

export interface CapturedServices {
  readonly services: readonly CapturedService[];
  /** By host; for the next configuration. */
  readonly allocated: ReadonlyMap<string, string>;
}

interface Gathered {
  readonly names: Set<string>;
  readonly addresses: Set<string>;
  readonly ports: Map<number, number>;
}

/**
 * Hosts with a wildcard, and hosts that are reached where they resolve, are not here: their names
 * mean what the resolvers of the machine say. `allocated`: those of the former configuration.
 */
export function capturedServices(
  config: ProxyConfig,
  allocated: ReadonlyMap<string, string>,
): CapturedServices {
  const original = new Set(
    config.clusters
      .filter(({ discovery }) => discovery === Cluster_Discovery.ORIGINAL)
      .map(({ name }) => name),
  );
  const gathered = new Map<string, Gathered>();
  for (const [i, virtualHost] of config.virtualHosts.entries()) {
    if (leadsTo(virtualHost, original)) continue;
    const host = hostOf(virtualHost);
    const service = gathered.get(host) ?? {
      names: new Set<string>(),
      addresses: new Set<string>(),
      ports: new Map<number, number>(),
    };
    for (const domain of virtualHost.domains) gather(domain.toLowerCase(), i, service);
    if (service.ports.size > 0 && service.names.size > 0) gathered.set(host, service);
  }
  const without = [...gathered].filter(([, { addresses }]) => addresses.size === 0);
  const made = allocateAddresses(
    without.map(([host]) => host),
    allocated,
  );
  const services = [...gathered].map(([host, { names, addresses, ports }]) => {
    const own = made.get(host);
    return {
      host,
      names: [...names],
      addresses: own === undefined ? [...addresses] : [own],
      ports: [...ports].map(([port, virtualHost]) => ({ port, virtualHost })),
    };
  });
  return { services, allocated: made };
}

function leadsTo({ routes }: VirtualHost, clusters: ReadonlySet<string>): boolean {
  return routes.some(
    ({ action }) =>
      action.case === "forward" &&
      action.value.clusters.some(({ cluster }) => clusters.has(cluster)),
  );
}

/** "reviews.default.svc.cluster.local" of "reviews.default.svc.cluster.local:9080". */
function hostOf({ name }: VirtualHost): string {
  return name.replace(/ \(manager\)$/, "").replace(/:\d+$/, "");
}

/** "reviews", "reviews:9080", "10.0.0.1:9080", "[fd00::1]:9080", "[fd00::1]". */
function gather(domain: string, virtualHost: number, service: Gathered): void {
  const parts = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::(\d{1,5}))?$/.exec(domain);
  const name = parts?.[1] ?? parts?.[2];
  if (name === undefined) return;
  const isAddress = parts?.[1] !== undefined || (/^[\d.]+$/.test(name) && isIP(name));
  (isAddress ? service.addresses : service.names).add(name);
  const port = Number(parts?.[3] ?? 0);
  if (port > 0 && !service.ports.has(port)) service.ports.set(port, virtualHost);
}
