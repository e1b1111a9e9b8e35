/** What operators can ask about the state of the mesh. */
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import {
  type ProxyStatus,
  ProxyStatus_Sync,
  ProxyStatusSchema,
  type ServiceStatus,
  ServiceStatusSchema,
  type StatusService,
} from "../../api/gen/mesh/v1/config_pb.ts";
import { problemToMessage } from "../../api/problem.ts";
import { redactConfig } from "../../api/redact-config.ts";
import { MESH_VERSION } from "../../core/version.ts";
import type { ProxyStream, Sync } from "../discovery/proxy-stream.ts";
import type { Manager } from "../manager.ts";
import { compare } from "../order.ts";
import { proxyConfigOf } from "../translate/translate.ts";

const PROBLEMS_MAX = 1_000;

export function statusService(manager: Manager): ServiceImpl<typeof StatusService> {
  return {
    listServices: () => ({ services: [...serviceStatuses(manager)] }),
    listProxies: () => ({ proxies: [...proxyStatuses(manager)] }),
    listProblems: () => ({
      problems: manager.problems().slice(0, PROBLEMS_MAX).map(problemToMessage),
    }),
    getProxyConfig({ nodeId }) {
      const stream = streamOf(manager, nodeId);
      const resources = stream.wanted ?? manager.discovery.resourcesOf(stream.node);
      return { config: redactConfig(proxyConfigOf(resources)), status: proxyStatus(stream) };
    },
    getVersion: () => ({
      version: MESH_VERSION,
      storeRevision: BigInt(manager.configuration.revision),
    }),
  };
}

/** By rising host. */
export function serviceStatuses(manager: Manager): readonly ServiceStatus[] {
  const { services, instances, origins } = manager.registry;
  const byHost = Map.groupBy(instances, ({ host }) => host);
  return services
    .toSorted((a, b) => compare(a.host, b.host))
    .map((service) => {
      const { host, registry, ports, addresses } = service;
      const origin = origins.get(host);
      return create(ServiceStatusSchema, {
        host,
        registry,
        ports: ports.map(({ name, number, protocol }) => ({ name, number, protocol })),
        instances: (byHost.get(host) ?? []).map(({ workload, address, port, labels, healthy }) => ({
          workload,
          address,
          port,
          labels: { ...labels },
          healthy,
          leaseRemainingMs: manager.local.leaseRemainingMs(workload),
        })),
        address: addresses[0] ?? "",
        ...(origin !== undefined && { source: { ...origin } }),
      });
    });
}

/** By rising node id. */
export function proxyStatuses(manager: Manager): readonly ProxyStatus[] {
  return manager.discovery.streams.map(proxyStatus);
}

const SYNC: Readonly<Record<Sync, ProxyStatus_Sync>> = {
  synced: ProxyStatus_Sync.SYNCED,
  stale: ProxyStatus_Sync.STALE,
  rejected: ProxyStatus_Sync.REJECTED,
  "not-sent": ProxyStatus_Sync.NOT_SENT,
};

function proxyStatus({ node, status }: ProxyStream): ProxyStatus {
  return create(ProxyStatusSchema, {
    nodeId: node.id,
    service: node.service,
    namespace: node.namespace,
    address: node.address,
    adminAddress: node.adminAddress,
    meshVersion: node.meshVersion,
    labels: node.labels,
    sync: SYNC[status.sync],
    sentVersion: status.sentVersion,
    activeVersion: status.activeVersion,
    problems: [...status.problems],
    connectedMs: BigInt(status.connectedMs),
    acknowledgedMs: BigInt(status.acknowledgedMs),
  });
}

/** By its whole id, by how it begins where that says it alone, or by its service: the newest. */
function streamOf({ discovery: { streams } }: Manager, nodeId: string): ProxyStream {
  const exact = streams.filter(({ node }) => node.id === nodeId);
  const alike = streams.filter(
    ({ node }) => nodeId !== "" && (node.id.startsWith(nodeId) || node.service === nodeId),
  );
  const found = exact.length > 0 ? exact : alike;
  const newest = found.at(-1);
  if (newest === undefined)
    throw new ConnectError(`no proxy ${nodeId} is connected`, Code.NotFound);
  const ids = new Set(found.map(({ node }) => node.id));
  if (ids.size === 1) return newest;
  throw new ConnectError(`${nodeId} may be any of ${[...ids].join(", ")}`, Code.InvalidArgument);
}
