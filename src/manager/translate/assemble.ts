/**
 * Plans ─▶ the resources of one proxy. Two services that claim one domain are settled here: who
 * has the name in full keeps it, then the first by name; nothing that a caller may ask for has two
 * answers.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type Cluster,
  type EndpointSet,
  Gateway_ClientCertDetails,
  type GatewaySchema,
  PathNormalization_EscapedSlashes,
  PathNormalization_Form,
  ProxySettings_LogEncoding,
  ProxySettings_OutboundPolicy,
  ProxySettingsSchema,
  type TcpDestination,
  type VirtualHost,
} from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import type { MeshSettings } from "../../model/mesh-settings.ts";
import type { ClusterKey } from "./cluster.ts";
import {
  type Resource,
  resourcesOf,
  type SharedResources,
  settingsResource,
  virtualHostResource,
} from "./resource.ts";

/** A plan whose resources are hashed, so that it can be kept. */
export interface HashedPlan {
  readonly virtualHosts: readonly Resource<VirtualHost>[];
  readonly tcpDestinations: readonly Resource<TcpDestination>[];
  readonly clusters: readonly { readonly key: ClusterKey; readonly cluster: Resource<Cluster> }[];
  readonly hosts: ReadonlySet<string>;
}

/** `plans` in order of right: services by name, then egress rules by key; `whole`: as it is. */
export function assemble(
  plans: readonly HashedPlan[],
  whole: Pick<SharedResources, "settings" | "policy">,
  endpointSet: (key: ClusterKey) => Resource<EndpointSet>,
): SharedResources {
  const clusters = new Map<string, Resource<Cluster>>();
  const endpointSets = new Map<string, Resource<EndpointSet>>();
  for (const plan of plans)
    for (const { key, cluster } of plan.clusters) {
      if (clusters.has(cluster.name)) continue;
      clusters.set(cluster.name, cluster);
      endpointSets.set(cluster.name, endpointSet(key));
    }
  return resourcesOf({
    ...whole,
    virtualHosts: [
      ...Map.groupBy(
        plans.flatMap(({ virtualHosts }) => virtualHosts),
        ({ message }) => message.listener,
      ).values(),
    ].flatMap(settleDomains),
    clusters: [...clusters.values()],
    endpointSets: [...endpointSets.values()],
    tcpDestinations: firstOfName(plans.flatMap(({ tcpDestinations }) => tcpDestinations)),
  });
}

/** An address block of two egress rules belongs to the first. */
function firstOfName<M>(resources: readonly Resource<M>[]): readonly Resource<M>[] {
  const byName = new Map<string, Resource<M>>();
  for (const one of resources) if (!byName.has(one.name)) byName.set(one.name, one);
  return [...byName.values()];
}

/** `gateway`: what a proxy at the edge listens on. */
export function settingsOf(
  settings: MeshSettings,
  gateway?: Pick<MessageInitShape<typeof GatewaySchema>, "listeners">,
): SharedResources["settings"] {
  return settingsResource(
    create(ProxySettingsSchema, {
      outboundPolicy:
        settings.outboundTrafficPolicy === "REGISTRY_ONLY"
          ? ProxySettings_OutboundPolicy.REGISTRY_ONLY
          : ProxySettings_OutboundPolicy.ALLOW_ANY,
      accessLogFile: settings.accessLogFile,
      accessLogEncoding:
        settings.accessLogEncoding === "JSON"
          ? ProxySettings_LogEncoding.JSON
          : ProxySettings_LogEncoding.TEXT,
      connectTimeoutMs: settings.connectTimeoutMs,
      drainMs: settings.drainDurationMs,
      pathNormalization: {
        form: PathNormalization_Form[settings.pathNormalization.normalization],
        escapedSlashes: PathNormalization_EscapedSlashes[settings.pathNormalization.escapedSlashes],
      },
      ...(gateway !== undefined && {
        gateway: {
          ...gateway,
          trustedProxies: settings.gatewayTopology.numTrustedProxies,
          clientCertDetails:
            Gateway_ClientCertDetails[settings.gatewayTopology.forwardClientCertDetails],
          proxyProtocol: settings.gatewayTopology.proxyProtocol,
        },
      }),
    }),
  );
}

function settleDomains(hosts: readonly Resource<VirtualHost>[]): readonly Resource<VirtualHost>[] {
  const owner = new Map<string, string>();
  for (const { name } of hosts) {
    if (!owner.has(name)) owner.set(name, name);
    const host = name.slice(0, name.lastIndexOf(":"));
    if (!owner.has(host)) owner.set(host, "");
  }
  for (const { name, message } of hosts) {
    const host = name.slice(0, name.lastIndexOf(":"));
    for (const domain of message.domains)
      if (!owner.has(domain) || (domain === host && owner.get(domain) === ""))
        owner.set(domain, name);
  }
  const seen = new Set<string>();
  return hosts.flatMap((host) => {
    if (seen.has(host.name)) return [];
    seen.add(host.name);
    const domains = host.message.domains.filter((domain) => owner.get(domain) === host.name);
    if (domains.length === host.message.domains.length) return [host];
    return [virtualHostResource({ ...host.message, domains })];
  });
}
