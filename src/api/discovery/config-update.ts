/**
 * Applies what the manager sends to what the proxy holds: a whole configuration replaces it, a
 * difference is merged resource by resource. Pure; nothing held is changed in place.
 *
 *   held v1 + update (base v1, config v2) ─▶ v2        other base ─▶ undefined: ask for the whole
 */
import { create } from "@bufbuild/protobuf";
import type { ConfigUpdate } from "../gen/mesh/v1/discovery_pb.ts";
import { type ProxyConfig, ProxyConfigSchema } from "../gen/mesh/v1/proxy_config_pb.ts";

export function applyUpdate(
  held: ProxyConfig | undefined,
  update: ConfigUpdate,
): ProxyConfig | undefined {
  const { config } = update;
  if (config === undefined) return undefined;
  if (update.baseVersion === "") return config;
  if (held === undefined || held.version !== update.baseVersion) return undefined;
  const settings = config.settings ?? held.settings;
  const policy = config.policy ?? held.policy;
  const access = config.access ?? held.access;
  const trust = config.trust ?? held.trust;
  return create(ProxyConfigSchema, {
    version: config.version,
    ...(settings === undefined ? {} : { settings }),
    ...(policy === undefined ? {} : { policy }),
    ...(access === undefined ? {} : { access }),
    ...(trust === undefined ? {} : { trust }),
    virtualHosts: merged(
      held.virtualHosts,
      config.virtualHosts,
      update.removedVirtualHosts,
      ({ name }) => name,
    ),
    clusters: merged(held.clusters, config.clusters, update.removedClusters, ({ name }) => name),
    endpointSets: merged(
      held.endpointSets,
      config.endpointSets,
      update.removedEndpointSets,
      ({ cluster }) => cluster,
    ),
    tcpDestinations: merged(
      held.tcpDestinations,
      config.tcpDestinations,
      update.removedTcpDestinations,
      ({ name }) => name,
    ),
    workloads: merged(held.workloads, config.workloads, update.removedWorkloads, ({ id }) => id),
  });
}

/** The held ones without the removed, replaced in place where changed; new ones at the end. */
function merged<T>(
  held: readonly T[],
  changed: readonly T[],
  removed: readonly string[],
  nameOf: (resource: T) => string,
): T[] {
  const byName = new Map(held.map((resource) => [nameOf(resource), resource]));
  for (const name of removed) byName.delete(name);
  for (const resource of changed) byName.set(nameOf(resource), resource);
  return [...byName.values()];
}
