/**
 * Whether a workload speaks of itself: the service that it names is its own account's, or one that
 * its certificate was issued for. Nobody else is asked: this machine may say anything.
 */
import type { Node, Workload } from "../../api/gen/mesh/v1/discovery_pb.ts";
import { Node_Mode } from "../../api/gen/mesh/v1/discovery_pb.ts";
import type { Principal } from "../../api/principal.ts";
import { parseSpiffeId, type SpiffeId } from "../../core/spiffe-id.ts";
import { fullHostName } from "../translate/host-name.ts";
import type { WorkloadStanding } from "./credential.ts";

export interface OwnIdentityOptions {
  /** "cluster.local" */
  readonly domain: string;
  readonly standing: Pick<WorkloadStanding, "servicesOf">;
}

/** Who alone may have what a mixer has: the policy of all namespaces. */
const MIXER = { namespace: "mesh-system", account: "mesh-mixer" };

/** What is not its own, as a sentence; undefined: nothing. */
export function foreignNode(
  principal: Principal,
  node: Node,
  options: OwnIdentityOptions,
): string | undefined {
  const id = workloadId(principal);
  if (id === undefined) return undefined;
  // Its namespace is that of documents which name none.
  if (node.mode === Node_Mode.MIXER)
    return isMixer(id) ? undefined : `${nameOf(id)} is no mixer: ${nameOf(MIXER)} is`;
  return foreignService(principal, node, options);
}

export function foreignWorkload(
  principal: Principal,
  workload: Workload,
  options: OwnIdentityOptions,
): string | undefined {
  const id = workloadId(principal);
  if (id === undefined) return undefined;
  const { serviceAccount, node } = workload;
  const accounts = ["", id.account, `${id.namespace}/${id.account}`];
  if (!accounts.includes(serviceAccount))
    return `${nameOf(id)} is not the account ${serviceAccount}`;
  const foreign = foreignService(principal, workload, options);
  if (foreign !== undefined || node === undefined) return foreign;
  return foreignNode(principal, node, options);
}

/** The account that a workload has by its certificate; empty: it has shown none. */
export function accountOf(principal: Principal): string {
  return workloadId(principal)?.account ?? "";
}

function foreignService(
  principal: Principal,
  { service, namespace }: { readonly service: string; readonly namespace: string },
  { domain, standing }: OwnIdentityOptions,
): string | undefined {
  const id = workloadId(principal);
  if (id === undefined || principal.kind !== "workload") return undefined;
  // As whoever reads it takes it: what names no namespace is of "default", not of the caller's.
  const host = fullHostName(service, namespace, domain);
  const [, within, svc] = host.split(".");
  const stated = namespace || (svc === "svc" ? within : undefined) || "default";
  if (stated !== id.namespace) return `${nameOf(id)} is not of namespace ${stated}`;
  if (service === "") return undefined;
  const own = [`${id.account}.${id.namespace}`, ...standing.servicesOf(principal.identity)];
  if (own.some((name) => fullHostName(name, id.namespace, domain) === host)) return undefined;
  return `${nameOf(id)} is not the service ${service}`;
}

function workloadId(principal: Principal): SpiffeId | undefined {
  return principal.kind === "workload" ? parseSpiffeId(principal.identity) : undefined;
}

function isMixer({ namespace, account }: SpiffeId): boolean {
  return namespace === MIXER.namespace && account === MIXER.account;
}

function nameOf({ namespace, account }: Omit<SpiffeId, "trustDomain">): string {
  return `ns/${namespace}/sa/${account}`;
}
