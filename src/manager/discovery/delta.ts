/** What a proxy must be told so that it has `to` where it had `from`. */
import { create } from "@bufbuild/protobuf";
import { type ConfigUpdate, ConfigUpdateSchema } from "../../api/gen/mesh/v1/discovery_pb.ts";
import { TrustBundleSchema } from "../../api/gen/mesh/v1/identity_pb.ts";
import type { Resource, Resources } from "../translate/resource.ts";
import { proxyConfigOf } from "../translate/translate.ts";

export function wholeUpdate(to: Resources): ConfigUpdate {
  return create(ConfigUpdateSchema, { config: proxyConfigOf(to) });
}

/** Between equal versions it says only that. */
export function deltaUpdate(from: Resources, to: Resources): ConfigUpdate {
  const virtualHosts = difference(from.virtualHosts, to.virtualHosts);
  const clusters = difference(from.clusters, to.clusters);
  const endpointSets = difference(from.endpointSets, to.endpointSets);
  const tcpDestinations = difference(from.tcpDestinations, to.tcpDestinations);
  const workloads = difference(from.workloads, to.workloads);
  return create(ConfigUpdateSchema, {
    baseVersion: from.version,
    config: {
      version: to.version,
      ...(from.settings.hash !== to.settings.hash && { settings: to.settings.message }),
      ...(from.policy.hash !== to.policy.hash && { policy: to.policy.message }),
      ...(from.access.hash !== to.access.hash && { access: to.access.message }),
      ...(from.trust?.hash !== to.trust?.hash && {
        trust: to.trust?.message ?? create(TrustBundleSchema),
      }),
      virtualHosts: virtualHosts.changed,
      clusters: clusters.changed,
      endpointSets: endpointSets.changed,
      tcpDestinations: tcpDestinations.changed,
      workloads: workloads.changed,
    },
    removedVirtualHosts: virtualHosts.removed,
    removedClusters: clusters.removed,
    removedEndpointSets: endpointSets.removed,
    removedTcpDestinations: tcpDestinations.removed,
    removedWorkloads: workloads.removed,
  });
}

/** Both lists are sorted by name: one walk along the two. */
function difference<M>(
  from: readonly Resource<M>[],
  to: readonly Resource<M>[],
): { changed: M[]; removed: string[] } {
  const changed: M[] = [];
  const removed: string[] = [];
  let i = 0;
  for (const resource of to) {
    while (i < from.length && from[i]!.name < resource.name) removed.push(from[i++]!.name);
    const former = from[i]?.name === resource.name ? from[i++] : undefined;
    if (former?.hash !== resource.hash) changed.push(resource.message);
  }
  while (i < from.length) removed.push(from[i++]!.name);
  return { changed, removed };
}
