/**
 * Who runs a service, in the names that rules know workloads by. Ours are what the proxy was
 * started with, or what an endpoint was registered with.
 *
 *   service reviews.default.svc.cluster.local, version v1 ─▶ workload reviews-v1 of default
 */
import type { StringMap } from "../../attribute/value.ts";
import {
  podNameOf,
  workloadCopyUid,
  workloadLabelsOf,
  workloadNameOf,
  workloadUidOf,
} from "../../policy/workload-name.ts";
import type { ServiceName } from "../cluster/service-name.ts";

export interface Workload {
  /** "kubernetes://reviews-1x8k2m.default": of one running copy; "": not known. */
  readonly uid: string;
  /** "reviews-1x8k2m" */
  readonly podName: string;
  readonly namespace: string;
  readonly name: string;
  readonly workloadUid: string;
  readonly owner: string;
  readonly labels: StringMap;
}

/** This proxy, as it is known in the mesh. */
export interface PolicyNode {
  /** "reviews-1x8k2m.default" */
  readonly id: string;
  /** Full host name; "": it stands for no service. */
  readonly service: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Where others reach it; "": nowhere. */
  readonly address: string;
  readonly version: string;
  readonly mode: "sidecar" | "gateway";
}

export interface WorkloadFacts {
  /** "reviews-1x8k2m.default"; "": not known. */
  readonly id: string;
  readonly service: ServiceName;
  /** Where the service has none. */
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
}

export function workloadOf({ id, service, namespace, labels }: WorkloadFacts): Workload {
  const own = service.namespace === "" ? namespace : service.namespace;
  const name = workloadNameOf(id, service.name, labels);
  const workloadUid = workloadUidOf(own, name);
  return {
    uid: workloadCopyUid(id),
    podName: podNameOf(id),
    namespace: own,
    name,
    workloadUid,
    owner: workloadUid,
    labels: workloadLabelsOf(service.name, labels),
  };
}
