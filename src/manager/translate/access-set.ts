/**
 * Who may call whom, as it was declared: the oldest first, and whom each object is for. Spec table:
 * manager 7.
 */
import type { Position } from "../../core/problem.ts";
import { type AuthorizationPolicy, dryRunOf } from "../../model/authorization-policy.ts";
import { type Config, configKey } from "../../model/config.ts";
import type { PeerAuthentication } from "../../model/peer-authentication.ts";
import { policyRootNamespace } from "../../model/policy-set.ts";
import type { RequestAuthentication } from "../../model/request-authentication.ts";
import type { WorkloadTarget } from "../../model/workload-target.ts";
import { compare } from "../order.ts";
import { fullHostName } from "./host-name.ts";
import { isSubset } from "./labels.ts";
import type { NodeView } from "./source.ts";

/** One object, or a part that was made of one. */
export interface AccessObject<Spec> {
  /** "AuthorizationPolicy/default/deny-all" */
  readonly object: string;
  readonly namespace: string;
  readonly origin: Position;
  readonly spec: Spec;
}

export interface AccessSet {
  readonly peers: readonly AccessObject<PeerAuthentication>[];
  readonly requests: readonly AccessObject<RequestAuthentication>[];
  readonly policies: readonly AccessObject<DryRunPolicy>[];
  /** Below all of `peers`: what settings of the mesh say. */
  readonly base?: AccessObject<PeerAuthentication>;
  /** Hosts of a ServiceEntry, by "namespace/name". */
  readonly entries: ReadonlyMap<string, readonly string[]>;
  /** "cluster.local" */
  readonly domain: string;
}

export interface DryRunPolicy extends AuthorizationPolicy {
  readonly dryRun: boolean;
}

/** When an object was made; of files that cannot say so, and where two are equal, by their keys. */
export type AgeOf = (config: Config) => number;

export function accessSetOf(
  configs: readonly Config[],
  domain: string,
  createdMs: AgeOf,
): AccessSet {
  const sorted = configs
    .map((config) => ({ config, madeMs: createdMs(config), key: configKey(config) }))
    .sort((a, b) => a.madeMs - b.madeMs || compare(a.key, b.key))
    .map(({ config }) => config);
  const mesh = sorted.find((config) => config.kind === "MeshConfig");
  const isStrict = mesh?.spec.identity?.authPolicy === "MUTUAL_TLS";
  return {
    ...(mesh && isStrict && { base: { ...objectOf(mesh), spec: { mode: "STRICT", ports: {} } } }),
    peers: sorted.filter((config) => config.kind === "PeerAuthentication").map(objectOf),
    requests: sorted.filter((config) => config.kind === "RequestAuthentication").map(objectOf),
    policies: sorted
      .filter((config) => config.kind === "AuthorizationPolicy")
      .map((config) => {
        const dryRun = dryRunOf(config.meta.annotations) === true;
        const object = objectOf(config);
        return { ...object, spec: { ...object.spec, dryRun } };
      }),
    entries: new Map(
      sorted
        .filter((config) => config.kind === "ServiceEntry")
        .map(({ meta, spec }) => [`${meta.namespace}/${meta.name}`, spec.hosts]),
    ),
    domain,
  };
}

function objectOf<C extends Config>(config: C): AccessObject<C["spec"]> {
  const { meta, origin, spec } = config;
  return { object: configKey(config), namespace: meta.namespace, origin, spec };
}

export function isSameAccess(a: AccessSet, b: AccessSet): boolean {
  const pairs = [
    [a.peers, b.peers],
    [a.requests, b.requests],
    [a.policies, b.policies],
  ] as const;
  return (
    pairs.every(
      ([before, after]) =>
        before.length === after.length && before.every((one, i) => isSame(one, after[i]!)),
    ) &&
    Bun.deepEquals(a.entries, b.entries) &&
    Bun.deepEquals(a.base, b.base)
  );
}

/** Stored objects keep their spec as long as they stay. */
function isSame(a: AccessObject<unknown>, b: AccessObject<unknown>): boolean {
  return a.object === b.object && (a.spec === b.spec || Bun.deepEquals(a, b));
}

/** Whether an object is for the workload. */
export function isFor(
  { namespace, spec }: AccessObject<WorkloadTarget>,
  node: NodeView,
  set: AccessSet,
): boolean {
  if (namespace !== policyRootNamespace && namespace !== node.namespace) return false;
  const { selector, references } = spec;
  if (selector !== undefined) return isSubset(selector, node.labels);
  if (references === undefined) return true;
  return references.some(({ kind, name }) => {
    switch (kind) {
      case "Service":
        return node.service === fullHostName(name, namespace, set.domain);
      case "ServiceEntry":
        return set.entries.get(`${namespace}/${name}`)?.includes(node.service) === true;
      case "Gateway":
        return node.namespace === namespace && isGateway(node, name);
      case "GatewayClass":
        return node.mode === "gateway" && node.labels[`${GATEWAY}/gateway-class-name`] === name;
      default:
        return kind satisfies never;
    }
  });
}

const GATEWAY = "gateway.networking.k8s.io";

/** By the label that such workloads have, or by the service that it stands for. */
function isGateway({ mode, labels, service }: NodeView, name: string): boolean {
  if (mode !== "gateway") return false;
  return labels[`${GATEWAY}/gateway-name`] === name || service.split(".")[0] === name;
}

/** Neither labels nor references: all of its namespace. */
export function isWide({ spec }: AccessObject<WorkloadTarget>): boolean {
  return spec.selector === undefined && spec.references === undefined;
}
