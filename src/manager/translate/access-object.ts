/**
 * One thing that is declared about who may call whom, and which workloads it is for. Spec table:
 * manager 7.
 */
import type { Position } from "../../core/problem.ts";
import type { AuthorizationPolicy } from "../../model/authorization-policy.ts";
import type { PeerAuthentication } from "../../model/peer-authentication.ts";
import { policyRootNamespace } from "../../model/policy-set.ts";
import type { RequestAuthentication } from "../../model/request-authentication.ts";
import type { WorkloadTarget } from "../../model/workload-target.ts";
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
  /** All of them hold of whom it is for; absent: nothing more is asked. */
  readonly covers?: readonly Cover[];
}

/** One of these facts has one of its values; or, of what is excluded, none has. */
export interface Cover {
  readonly facts: readonly Fact[];
  readonly isExcluded: boolean;
}

/** Values are whole, "prefix*", "*suffix" or "*". */
type Fact =
  | { readonly of: "host" | "namespace" | "name"; readonly values: readonly string[] }
  | { readonly of: "label"; readonly label: string; readonly values: readonly string[] };

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

/** Whether an object is for the workload. */
export function isFor(
  { namespace, spec, covers = [] }: AccessObject<WorkloadTarget>,
  node: NodeView,
  set: AccessSet,
): boolean {
  if (!covers.every((cover) => isCovered(cover, node))) return false;
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

function isCovered({ facts, isExcluded }: Cover, node: NodeView): boolean {
  const isOne = facts.some((fact) => {
    const value = factOf(fact, node);
    return fact.values.some((pattern) => matches(pattern, value));
  });
  return isOne !== isExcluded;
}

function factOf(fact: Fact, { service, namespace, labels }: NodeView): string {
  if (fact.of === "label") return labels[fact.label] ?? "";
  if (fact.of === "namespace") return namespace;
  return fact.of === "host" ? service : (service.split(".")[0] ?? "");
}

function matches(pattern: string, value: string): boolean {
  if (pattern.endsWith("*")) return value !== "" && value.startsWith(pattern.slice(0, -1));
  return pattern.startsWith("*") ? value.endsWith(pattern.slice(1)) : value === pattern;
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
