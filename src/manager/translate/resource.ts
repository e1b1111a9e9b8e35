/**
 * Resources with the hash of their content: what versions are made of, and what tells a change from
 * a repetition.
 */
import { type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";
import type { AccessConfig } from "../../api/gen/mesh/v1/access_pb.ts";
import type { TrustBundle } from "../../api/gen/mesh/v1/identity_pb.ts";
import { type PolicyConfig, PolicyConfigSchema } from "../../api/gen/mesh/v1/policy_pb.ts";
import {
  type Cluster,
  ClusterSchema,
  type EndpointSet,
  EndpointSetSchema,
  type KnownWorkload,
  KnownWorkloadSchema,
  type ProxySettings,
  ProxySettingsSchema,
  type TcpDestination,
  TcpDestinationSchema,
  type VirtualHost,
  VirtualHostSchema,
} from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { compare } from "../order.ts";

export interface Resource<M> {
  readonly name: string;
  readonly hash: string;
  readonly message: M;
}

/** Everything that one proxy runs on. */
export interface Resources extends SharedResources {
  readonly access: Resource<AccessConfig>;
  /** Undefined: nobody has an identity. */
  readonly trust: Resource<TrustBundle> | undefined;
}

/** What proxies that no rule of routing tells apart share; lists by rising name, each name once. */
export interface SharedResources {
  readonly version: string;
  readonly settings: Resource<ProxySettings>;
  readonly policy: Resource<PolicyConfig>;
  readonly virtualHosts: readonly Resource<VirtualHost>[];
  readonly clusters: readonly Resource<Cluster>[];
  readonly endpointSets: readonly Resource<EndpointSet>[];
  readonly tcpDestinations: readonly Resource<TcpDestination>[];
  /** Of a mixer. */
  readonly workloads: readonly Resource<KnownWorkload>[];
}

export function virtualHostResource(message: VirtualHost): Resource<VirtualHost> {
  return { name: message.name, hash: hashOf(VirtualHostSchema, message), message };
}

export function clusterResource(message: Cluster): Resource<Cluster> {
  return { name: message.name, hash: hashOf(ClusterSchema, message), message };
}

export function endpointSetResource(message: EndpointSet): Resource<EndpointSet> {
  return { name: message.cluster, hash: hashOf(EndpointSetSchema, message), message };
}

export function tcpDestinationResource(message: TcpDestination): Resource<TcpDestination> {
  return { name: message.name, hash: hashOf(TcpDestinationSchema, message), message };
}

export function knownWorkloadResource(message: KnownWorkload): Resource<KnownWorkload> {
  return { name: message.id, hash: hashOf(KnownWorkloadSchema, message), message };
}

export function settingsResource(message: ProxySettings): Resource<ProxySettings> {
  return { name: "", hash: hashOf(ProxySettingsSchema, message), message };
}

export function policyResource(message: PolicyConfig): Resource<PolicyConfig> {
  return { name: "", hash: hashOf(PolicyConfigSchema, message), message };
}

/** Sorts, and gives the whole the hash of its parts as its version. */
export function resourcesOf(
  parts: Omit<SharedResources, "version" | "workloads"> &
    Partial<Pick<SharedResources, "workloads">>,
): SharedResources {
  const { settings, policy } = parts;
  const virtualHosts = byName(parts.virtualHosts);
  const clusters = byName(parts.clusters);
  const endpointSets = byName(parts.endpointSets);
  const tcpDestinations = byName(parts.tcpDestinations);
  const workloads = byName(parts.workloads ?? []);
  const hasher = new Bun.CryptoHasher("sha256");
  hasher.update(settings.hash);
  hasher.update(policy.hash);
  const lists = { virtualHosts, clusters, endpointSets, tcpDestinations, workloads };
  for (const list of Object.values(lists)) {
    hasher.update("\n");
    for (const { hash } of list) hasher.update(hash);
  }
  const version = hasher.digest("hex").slice(0, 16);
  return { version, settings, policy, ...lists };
}

function byName<M>(resources: readonly Resource<M>[]): readonly Resource<M>[] {
  return resources.toSorted((a, b) => compare(a.name, b.name));
}

export function hashOf<D extends DescMessage>(schema: D, message: MessageShape<D>): string {
  return Bun.CryptoHasher.hash("sha256", toBinary(schema, message), "hex").slice(0, 32);
}
