/**
 * From what the manager sent to what the data plane follows: every name is resolved once, and every
 * problem is reported, all at once. The caller keeps its last good snapshot where there are any.
 *
 * What did not change is not compiled again: a cluster of equal content is the former object, and
 * so is a virtual host of equal content all of whose clusters are former objects. Changed endpoints
 * are not a change of the cluster: Snapshot.activate() hands them over.
 */
import {
  type Cluster as ClusterResource,
  type PathNormalization,
  PathNormalization_EscapedSlashes,
  PathNormalization_Form,
  type ProxyConfig,
  ProxySettings_LogEncoding,
  ProxySettings_OutboundPolicy,
} from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import type { Problem } from "../../core/problem.ts";
import type { EscapedSlashes, PathRules } from "../../http/path-normalization.ts";
import { compileAccess } from "../access/compiled-access.ts";
import type { Cluster } from "../cluster/cluster.ts";
import {
  type ClusterParts,
  makeCluster,
  makePassthroughCluster,
  PASSTHROUGH,
} from "../cluster/make-cluster.ts";
import type { EndpointSpec } from "../cluster/membership.ts";
import { RequestStats } from "../cluster/request-stats.ts";
import type { CompilePolicy } from "../policy/compiled-policy.ts";
import type { UpstreamCredentials } from "../upstream/upstream-credentials.ts";
import { CONNECT_TIMEOUT_MS, compileClusterSettings, compileEndpoints } from "./compile-cluster.ts";
import { compileEdgeRules, compileEdges } from "./compile-edge.ts";
import { compileHosts } from "./compile-host.ts";
import { compileTcp } from "./compile-tcp.ts";
import { compileTls } from "./compile-tls.ts";
import { isSame } from "./is-same.ts";
import { ProblemList } from "./problem-list.ts";
import { Snapshot, type SnapshotSettings } from "./snapshot.ts";

export interface CompileParts extends Omit<ClusterParts, "reporter"> {
  /** What is published now; its clusters and endpoints are taken over. */
  readonly former: Snapshot | undefined;
  /** For clusters that are reached by TLS; absent: those are refused. */
  readonly credentials?: UpstreamCredentials;
  /** Undefined: what a configuration says of policy is not looked at. */
  readonly compilePolicy?: CompilePolicy | undefined;
}

const DRAIN_MS = 45_000;

export function compileSnapshot(config: ProxyConfig, parts: CompileParts): Snapshot | Problem[] {
  const file = config.version === "" ? "proxy config" : `proxy config ${config.version}`;
  const problems = new ProblemList({ file, line: 0, column: 0 }, "");
  const clusters = compileClusters(config, parts, problems);
  const members = compileMembers(config, clusters, parts.former, problems);
  const hosts = compileHosts(config.virtualHosts, clusters, parts.former, problems);
  const edges = compileEdges(config, hosts.edges, problems);
  const tcp = compileTcp(config.tcpDestinations, clusters, problems);
  const access = compileAccess(config, parts.former?.access, problems.problems);
  if (problems.problems.length > 0) return problems.problems;
  const policy = config.policy && parts.compilePolicy?.(config.policy, parts.former?.policy);
  return new Snapshot({
    version: config.version,
    config,
    settings: compileSettings(config, clusters.get(PASSTHROUGH)),
    hosts: hosts.table,
    edgeHosts: hosts.edges,
    edges,
    virtualHosts: hosts.virtualHosts,
    tcp,
    clusters,
    members,
    localStats: parts.former?.localStats ?? makeLocalStats(parts),
    policy,
    access,
  });
}

function compileClusters(
  config: ProxyConfig,
  parts: CompileParts,
  problems: ProblemList,
): Map<string, Cluster> {
  const formerResources = byName(parts.former?.config.clusters ?? []);
  const formerTimeoutMs = parts.former?.config.settings?.connectTimeoutMs ?? 0;
  const timeoutMs = config.settings?.connectTimeoutMs ?? 0;
  const clusters = new Map<string, Cluster>();
  for (const resource of config.clusters) {
    const here = problems.at(`clusters[${resource.name}]`, resource.origins[0]);
    if (clusters.has(resource.name)) here.add("another cluster has this name");
    const former = parts.former?.clusters.get(resource.name);
    const same =
      former !== undefined &&
      timeoutMs === formerTimeoutMs &&
      isSame(formerResources.get(resource.name), resource);
    if (same) clusters.set(resource.name, former);
    else {
      const tls = compileTls(resource, former, parts.credentials, here);
      const rest = compileClusterSettings(resource, timeoutMs, here);
      const settings = tls === undefined ? rest : { ...rest, tls };
      const keeps = former?.settings.service === settings.service;
      const state = keeps ? former?.state : undefined;
      clusters.set(settings.name, makeCluster(settings, { ...parts, reporter: "source" }, state));
    }
  }
  const anywhere = ProxySettings_OutboundPolicy.ALLOW_ANY;
  if (config.settings?.outboundPolicy === anywhere && !clusters.has(PASSTHROUGH))
    clusters.set(PASSTHROUGH, compilePassthrough(timeoutMs, parts));
  return clusters;
}

function compilePassthrough(timeoutMs: number, parts: CompileParts): Cluster {
  const connectTimeoutMs = timeoutMs || CONNECT_TIMEOUT_MS;
  const former = parts.former?.clusters.get(PASSTHROUGH);
  if (former?.connectTimeoutMs === connectTimeoutMs) return former;
  return makePassthroughCluster(connectTimeoutMs, { ...parts, reporter: "source" }, former?.state);
}

/** Endpoints of each cluster; the former list where the set did not change. */
function compileMembers(
  config: ProxyConfig,
  clusters: ReadonlyMap<string, Cluster>,
  former: Snapshot | undefined,
  problems: ProblemList,
): Map<string, readonly EndpointSpec[]> {
  const formerSets = new Map(former?.config.endpointSets.map((set) => [set.cluster, set]));
  const members = new Map<string, readonly EndpointSpec[]>();
  for (const set of config.endpointSets) {
    const here = problems.at(`endpoint_sets[${set.cluster}]`);
    if (!clusters.has(set.cluster)) here.add(`no cluster is named "${set.cluster}"`);
    if (members.has(set.cluster)) here.add("another endpoint set is for this cluster");
    const kept = former?.members.get(set.cluster);
    const same = kept !== undefined && isSame(formerSets.get(set.cluster), set);
    members.set(set.cluster, same ? kept : compileEndpoints(set, here));
  }
  return members;
}

function compileSettings(
  { settings }: ProxyConfig,
  unknownHost: Cluster | undefined,
): SnapshotSettings {
  return {
    unknownHost,
    accessLogFile: settings?.accessLogFile ?? "",
    accessLogJson: settings?.accessLogEncoding === ProxySettings_LogEncoding.JSON,
    connectTimeoutMs: settings?.connectTimeoutMs || CONNECT_TIMEOUT_MS,
    drainMs: settings?.drainMs || DRAIN_MS,
    paths: compilePaths(settings?.pathNormalization),
    edge: compileEdgeRules(settings?.gateway),
  };
}

/** What is not said is the form that is safe: BASE. */
function compilePaths(rules: PathNormalization | undefined): PathRules {
  return {
    normalizes: rules?.form !== PathNormalization_Form.NONE,
    mergesSlashes: rules?.form === PathNormalization_Form.MERGE_SLASHES,
    escapedSlashes: escapedSlashes[rules?.escapedSlashes ?? 0] ?? "KEEP_UNCHANGED",
  };
}

const escapedSlashes: Readonly<Record<number, EscapedSlashes>> = {
  [PathNormalization_EscapedSlashes.REJECT_REQUEST]: "REJECT_REQUEST",
  [PathNormalization_EscapedSlashes.UNESCAPE_AND_REDIRECT]: "UNESCAPE_AND_REDIRECT",
  [PathNormalization_EscapedSlashes.UNESCAPE_AND_FORWARD]: "UNESCAPE_AND_FORWARD",
};

function makeLocalStats({ metrics, source }: CompileParts): RequestStats {
  const { service, version } = source;
  const labels = { reporter: "source", source: service, sourceVersion: version } as const;
  return new RequestStats({ ...labels, service: "", version: "" }, metrics);
}

function byName(resources: readonly ClusterResource[]): Map<string, ClusterResource> {
  return new Map(resources.map((resource) => [resource.name, resource]));
}
